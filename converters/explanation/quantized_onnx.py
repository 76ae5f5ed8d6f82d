"""A QDQ `.onnx` as a `QuantizedModel`: codes between QuantizeLinear and DequantizeLinear, layouts as TFLite's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from converters.explanation.quantized_model import ActivationCodes, BiasCodes, QuantizedOperator, WeightCodes
from edge_cnn.core.errors import ModelError

_BATCH = 32
_FUSED = frozenset({"Relu", "Clip"})
"""What a TFLite operator does itself, behind its sum."""

_OPERATORS = {
    "Add": "ADD",
    "Sub": "SUB",
    "Mul": "MUL",
    "Concat": "CONCATENATION",
    "AveragePool": "AVERAGE_POOL_2D",
    "GlobalAveragePool": "MEAN",
    "ReduceMean": "MEAN",
    "MaxPool": "MAX_POOL_2D",
    "Softmax": "SOFTMAX",
}


class _Place(NamedTuple):
    """An operator: its node, and the tensor that holds its result after activation and coding."""

    node: Any
    tensor: str
    codes: ActivationCodes | None


class QuantizedOnnx:
    """An `.onnx` with QuantizeLinear and DequantizeLinear around its operators.

    Attributes:
        format: "onnx".
        input, operators: see `QuantizedModel`.
    """

    format = "onnx"

    def __init__(self, data: bytes) -> None:
        """Read a file. Raises: ModelError: no `.onnx`, or one of operators on codes (QLinearConv)."""
        import onnx

        with silent_step("reading the .onnx file"):
            self._model = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(data))
        graph = self._model.graph
        foreign = next((n.op_type for n in graph.node if n.op_type.startswith("QLinear")), None)
        if foreign is not None:
            raise ModelError(
                f"the .onnx file has {foreign}, whose weights and scales 'explain' does not read; "
                "give it as QDQ (QuantizeLinear and DequantizeLinear)"
            )
        self._constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
        self._writers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self.input = self._coded(graph.input[0].name)[1]
        self._places = self._find_places()
        self.operators = tuple(self._operator(place) for place in self._places)

    def _find_places(self) -> tuple[_Place, ...]:
        found: list[_Place] = []
        for node in self._model.graph.node:
            if node.op_type not in _OPERATORS and not self._is_layer(node):
                continue
            if node.op_type in ("Add", "Mul", "Sub") and any(name in self._constants for name in node.input):
                continue
            end = node.output[0]
            readers = self._readers.get(end, [])
            if len(readers) == 1 and readers[0].op_type in _FUSED:
                end = readers[0].output[0]
            found.append(_Place(node, *self._coded(end)))
        return tuple(found)

    def run(self, inputs: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
        """As `QuantizedModel.run`."""
        session, entry = self._session, self._model.graph.input[0]
        dimensions = [d.dim_value for d in entry.type.tensor_type.shape.dim]
        batch = dimensions[0] or _BATCH
        if inputs.ndim == 4 and dimensions[1:] == list(inputs.transpose(0, 3, 1, 2).shape[1:]):
            inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        names = [place.tensor for place in self._places]
        for start in range(0, len(inputs), batch):
            values = session.run(names, {entry.name: inputs[start : start + batch]})
            yield [_channels_last(value).astype(np.float32) for value in values]

    @cached_property
    def _session(self) -> Any:
        import onnx
        import onnxruntime

        watched = onnx.ModelProto()
        watched.CopyFrom(self._model)
        there = {output.name for output in watched.graph.output}
        for place in self._places:
            if place.tensor not in there:
                watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(place.tensor))
                there.add(place.tensor)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        return onnxruntime.InferenceSession(watched.SerializeToString(), options, ["CPUExecutionProvider"])

    def _is_layer(self, node: Any) -> bool:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            return False
        return self._weight(node.input[1]) is not None

    def _weight(self, name: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int] | NDArray[Any] | None:
        """(codes, scales, zero points, axis) of a constant behind DequantizeLinear, a float constant, or None."""
        if name in self._constants:
            return self._constants[name]
        writer = self._writers.get(name)
        if writer is None or writer.op_type != "DequantizeLinear" or writer.input[0] not in self._constants:
            return None
        codes, scales = self._constants[writer.input[0]], self._constants[writer.input[1]].reshape(-1)
        zeros = self._constants[writer.input[2]].reshape(-1) if len(writer.input) > 2 else np.zeros(len(scales))
        axis = next((a.i for a in writer.attribute if a.name == "axis"), 1)
        return codes, scales.astype(np.float64), zeros.astype(np.int64), axis % max(codes.ndim, 1)

    def _coded(self, name: str) -> tuple[str, ActivationCodes | None]:
        """What a tensor is after its QuantizeLinear and DequantizeLinear, and its codes; itself where it has none."""
        for quantize in self._readers.get(name, []):
            if quantize.op_type != "QuantizeLinear":
                continue
            for dequantize in self._readers.get(quantize.output[0], []):
                if dequantize.op_type == "DequantizeLinear":
                    return dequantize.output[0], self._codes(quantize)
        return name, None

    def _codes(self, node: Any) -> ActivationCodes:
        scale = float(self._constants[node.input[1]].reshape(-1)[0])
        zero_point = self._constants[node.input[2]] if len(node.input) > 2 else np.zeros(1, np.uint8)
        limits = np.iinfo(zero_point.dtype)
        return ActivationCodes(scale, int(zero_point.reshape(-1)[0]), int(limits.min), int(limits.max))

    def _operator(self, place: _Place) -> QuantizedOperator:
        node = place.node
        shape, entry = self._shape(place.tensor), self._entry(node.input[0])
        if not self._is_layer(node):
            return QuantizedOperator(node.output[0], _OPERATORS[node.op_type], shape, entry, place.codes)
        op, order = self._layout(node)
        found = self._weight(node.input[1])
        bias = self._bias(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        weights = floats = None
        if isinstance(found, tuple):
            codes, scales, zeros, axis = found
            weights = WeightCodes(codes.transpose(order), scales, zeros, order.index(axis), 8)
        elif found is not None:
            floats = found.astype(np.float32).transpose(order)
        return QuantizedOperator(node.output[0], op, shape, entry, place.codes, weights, floats, bias)

    def _layout(self, node: Any) -> tuple[str, tuple[int, ...]]:
        """TFLite's operator, and the order of axes that makes its weights of these."""
        attributes = {a.name: a.i for a in node.attribute}
        if node.op_type != "Conv":
            return "FULLY_CONNECTED", (0, 1) if attributes.get("transB") else (1, 0)
        if attributes.get("group", 1) > 1:
            return "DEPTHWISE_CONV_2D", (1, 2, 3, 0)
        return "CONV_2D", (0, 2, 3, 1)

    def _bias(self, name: str) -> BiasCodes | None:
        found = self._weight(name)
        if found is None:
            return None
        if not isinstance(found, tuple):
            return BiasCodes(found.astype(np.float64).reshape(-1))
        codes, scales, _, _ = found
        return BiasCodes(codes.astype(np.float64) * scales, codes.astype(np.int64), scales)

    def _entry(self, name: str) -> ActivationCodes | None:
        writer = self._writers.get(name)
        if writer is None or writer.op_type != "DequantizeLinear":
            return None
        source = self._writers.get(writer.input[0])
        return self._codes(source) if source is not None and source.op_type == "QuantizeLinear" else None

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        graph = self._model.graph
        return {
            info.name: tuple(d.dim_value for d in info.type.tensor_type.shape.dim)
            for info in (*graph.value_info, *graph.output, *graph.input)
        }

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self._shapes.get(name, ())[1:]
        return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _channels_last(value: NDArray[Any]) -> NDArray[Any]:
    return value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
