"""A quantized `.tflite` as a `QuantizedModel`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from converters.explanation.quantized_model import ActivationCodes, BiasCodes, QuantizedOperator, WeightCodes
from converters.float_graph.float_graph import LAYER_OPERATORS, FloatGraph, Operator

_TYPES: dict[str, tuple[int, int]] = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-(2**15), 2**15 - 1),
    "int4": (-8, 7),
}
_RECODING = frozenset({"QUANTIZE", "DEQUANTIZE"})


class QuantizedTflite:
    """A `.tflite` with codes in its weights, its activations or both.

    Attributes:
        format: "tflite".
        input, operators: see `QuantizedModel`.
    """

    format = "tflite"

    def __init__(self, data: bytes) -> None:
        """Read a file. Raises: ModelError: no `.tflite`, or a damaged one."""
        self._graph = FloatGraph(data)
        self._kept = tuple(o for o in self._graph.operators if o.op not in _RECODING)
        self.input = self._input()
        self.operators = tuple(self._operator(operator) for operator in self._kept)

    @cached_property
    def _model(self) -> Any:
        from ai_edge_litert import schema_py_generated as schema

        return schema.ModelT.InitFromPackedBuf(self._graph.data, 0)

    def _input(self) -> ActivationCodes | None:
        place = self._graph.inputs[0]
        found = self._codes(place)
        if found is not None:
            return found
        # Float at its end, and coded by the first operator.
        for operator in self._graph.operators:
            if operator.op == "QUANTIZE" and operator.inputs[0] == place:
                return self._codes(operator.outputs[0])
        return None

    def run(self, inputs: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
        """As `QuantizedModel.run`, one sample at a time, as the file's batch of 1 wants it."""
        interpreter = self._interpreter()
        for sample in inputs:
            self._invoke(interpreter, sample[None])
            yield [self._decoded(interpreter, operator.outputs[0]) for operator in self._kept]

    def _interpreter(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        # It says that keeping all tensors takes memory, which is what this is for, and which kernels it has.
        with silent_step("opening the .tflite file"):
            interpreter = Interpreter(
                model_content=self._graph.data, experimental_preserve_all_tensors=True, num_threads=1
            )
            interpreter.allocate_tensors()
        return interpreter

    def _invoke(self, interpreter: Any, sample: NDArray[np.float32]) -> None:
        place = self._graph.inputs[0]
        codes = self._codes(place)
        if codes is not None:
            dtype = self._graph.tensors[place].type
            rounded = np.clip(np.rint(sample / np.float32(codes.scale)) + codes.zero_point, codes.first, codes.last)
            sample = rounded.astype(dtype)
        interpreter.set_tensor(place, sample)
        interpreter.invoke()

    def _decoded(self, interpreter: Any, index: int) -> NDArray[np.float32]:
        values, codes = interpreter.get_tensor(index), self._codes(index)
        if codes is None:
            return np.asarray(values, np.float32)
        return ((values.astype(np.int64) - codes.zero_point) * np.float32(codes.scale)).astype(np.float32)

    def _codes(self, index: int) -> ActivationCodes | None:
        tensor = self._graph.tensors[index]
        scales, zero_points = self._quantization(index)
        if tensor.type not in _TYPES or not len(scales):
            return None
        return ActivationCodes(float(scales[0]), int(zero_points[0]), *_TYPES[tensor.type])

    def _quantization(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        quantization = self._model.subgraphs[0].tensors[index].quantization
        if quantization is None or quantization.scale is None:
            return np.zeros(0), np.zeros(0, np.int64)
        scales = np.asarray(quantization.scale, np.float64)
        zeros = quantization.zeroPoint
        zero_points = np.zeros(len(scales), np.int64) if zeros is None else np.asarray(zeros, np.int64)
        return scales, zero_points

    def _operator(self, operator: Operator) -> QuantizedOperator:
        graph = self._graph
        shape = graph.tensors[operator.outputs[0]].shape[1:]
        place, output = next((i for i in operator.inputs if i >= 0), -1), self._codes(operator.outputs[0])
        if operator.op not in LAYER_OPERATORS:
            entry = self._codes(place) if place >= 0 else None
            return QuantizedOperator(operator.name, operator.op, shape, entry, output)
        transposed = operator.op == "TRANSPOSE_CONV"
        rest = operator.inputs[3 if transposed else 2 :]
        source = operator.inputs[2 if transposed else 0]
        axis = 3 if operator.op == "DEPTHWISE_CONV_2D" else 0
        weights = self._weights(operator.inputs[1], axis)
        floats = None if weights else graph.tensors[operator.inputs[1]].constant
        bias = self._bias(rest[0], self._codes(source), weights) if rest and rest[0] >= 0 else None
        return QuantizedOperator(
            operator.name, operator.op, shape, self._codes(source), output, weights, _as_floats(floats), bias
        )

    def _weights(self, index: int, axis: int) -> WeightCodes | None:
        tensor = self._graph.tensors[index]
        scales, zero_points = self._quantization(index)
        if tensor.type not in ("int8", "uint8", "int4") or not len(scales):
            return None
        codes = tensor.constant if tensor.type != "int4" else self._nibbles(index)
        if codes is None:
            return None
        return WeightCodes(codes, scales, zero_points, axis, 4 if tensor.type == "int4" else 8)

    def _nibbles(self, index: int) -> NDArray[np.int8]:
        """Two int4 codes a byte, the lower half first."""
        tensor = self._model.subgraphs[0].tensors[index]
        packed = np.asarray(self._model.buffers[tensor.buffer].data, np.uint8)
        halves = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1).astype(np.int8)
        shape = self._graph.tensors[index].shape
        return np.where(halves > 7, halves - 16, halves).astype(np.int8)[: int(np.prod(shape))].reshape(shape)

    def _bias(self, index: int, entry: ActivationCodes | None, weights: WeightCodes | None) -> BiasCodes | None:
        constant = self._graph.tensors[index].constant
        if constant is None:
            return None
        if constant.dtype == np.float32:
            return BiasCodes(constant.astype(np.float64))
        scales, _ = self._quantization(index)
        codes = constant.astype(np.int64)
        # Kernels add the codes to sums of products, whatever scale the file states for them.
        effective = scales if entry is None or weights is None else entry.scale * weights.scales
        return BiasCodes(codes * effective, codes, scales, int(np.iinfo(constant.dtype).max))


def _as_floats(values: NDArray[Any] | None) -> NDArray[np.float32] | None:
    return None if values is None else values.astype(np.float32)
