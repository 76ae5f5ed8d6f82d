"""What an int8 file computes tensor by tensor, in LiteRT's own kernels: the judge of what predicts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph


class Codes(NamedTuple):
    """A tensor's codes, and what they stand for."""

    codes: NDArray[np.int64]
    scale: np.float32
    zero_point: int

    @property
    def values(self) -> NDArray[np.float32]:
        return ((self.codes - self.zero_point) * self.scale).astype(np.float32)


def run_int8(data: bytes, graph: FloatGraph, inputs: NDArray[np.float32]) -> Iterator[dict[int, Codes]]:
    """For each sample: tensor index of the float graph -> codes of the tensor of that name in the file."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with silent_step("opening the file"):
        interpreter = Interpreter(
            model_content=data,
            experimental_preserve_all_tensors=True,
            # Without XNNPACK, which fuses tensors away; the reference kernels know no int4 weights.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            num_threads=1,
        )
    interpreter.allocate_tensors()
    details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    places = {index: details[graph.tensors[index].name] for index in graph.activations}
    (entry,) = interpreter.get_input_details()
    scale, zero_point = entry["quantization"]
    for sample in inputs:
        codes = np.clip(np.rint(sample[None] / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(entry["index"], codes)
        interpreter.invoke()
        yield {
            index: Codes(
                interpreter.get_tensor(place["index"]).astype(np.int64),
                np.float32(place["quantization"][0]),
                place["quantization"][1],
            )
            for index, place in places.items()
        }
