"""What a float graph computes inside, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph


def activations(
    graph: FloatGraph, inputs: NDArray[np.float32], tensors: Sequence[int] | None = None
) -> Iterator[dict[int, NDArray[np.float32]]]:
    """Run samples one by one through LiteRT, which keeps every tensor.

    Args:
        graph: the graph, of one input.
        inputs: float32 (n, ...), without the batch of 1 that the file says.
        tensors: indices to give; all activations if None.

    Yields:
        Tensor index -> array (1, ...), one dictionary a sample.
    """
    from ai_edge_litert.interpreter import Interpreter

    # It says that keeping all tensors takes memory, which is what this is for, and which kernels it has.
    with silent_step("opening the float .tflite"):
        interpreter = Interpreter(model_content=graph.data, experimental_preserve_all_tensors=True, num_threads=1)
        interpreter.allocate_tensors()
    wanted = graph.activations if tensors is None else tuple(tensors)
    place = graph.inputs[0]
    for sample in inputs:
        interpreter.set_tensor(place, sample[None])
        interpreter.invoke()
        yield {index: interpreter.get_tensor(index) for index in wanted}
