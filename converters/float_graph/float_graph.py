"""A float32 `.tflite` as a value: tensors, operators, layers, and new files with other constants or with ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.packing import IDENTIFIER, pack
from edge_cnn.core.errors import ModelError

LAYER_OPERATORS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Operators with weights, whose second input they are; only TRANSPOSE_CONV reads them so and its image third."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        index: in the file.
        name: in the file.
        shape: with the batch that the file says, mostly 1.
        type: "float32", "int32", ..., as the schema names it.
        constant: read-only array of `shape`, or None where the graph computes it.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    constant: NDArray[Any] | None


@dataclass(frozen=True)
class Operator:
    """A step of the graph.

    Attributes:
        index: in the order of execution.
        op: as the schema names it, "CONV_2D".
        version: of the operator.
        name: of its first output tensor, which quantizers also call it by.
        inputs: tensor indices, -1 for an optional one that is left out.
        outputs: tensor indices.
        options: the operator's fields as the schema names them: "strideH", "padding", "fusedActivationFunction", ...
    """

    index: int
    op: str
    version: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """An operator with weights.

    Attributes:
        operator: the operator.
        input: index of the tensor that it reads.
        weights: index of its weights: (out, height, width, in) of CONV_2D, (1, height, width, out) of
            DEPTHWISE_CONV_2D, (out, in) of FULLY_CONNECTED.
        bias: index of its bias (out,), or None.
        output: index of the tensor that it writes, after its fused activation.
    """

    operator: Operator
    input: int
    weights: int
    bias: int | None
    output: int

    @property
    def name(self) -> str:
        return self.operator.name

    @property
    def channel_axis(self) -> int:
        """The axis of the weights that counts output channels, along which per-channel scales run."""
        return 3 if self.operator.op == "DEPTHWISE_CONV_2D" else 0


class FloatGraph:
    """A `.tflite` of one subgraph that computes in float32.

    Attributes:
        data: the file.
    """

    def __init__(self, data: bytes) -> None:
        """Read a file.

        Raises:
            ModelError: it is no `.tflite`, or has several subgraphs.
        """
        if data[4:8] != IDENTIFIER:
            raise ModelError(f"this is no .tflite file ({len(data)} bytes); give a float32 .tflite")
        self.data = data
        try:
            subgraphs = len(self._model.subgraphs)
        # The generated reader raises struct.error, TypeError, AttributeError, ... on damaged offsets.
        except Exception as error:
            raise ModelError(
                f"the .tflite file is damaged ({type(error).__name__}); copy it or export it again"
            ) from error
        if subgraphs != 1:
            raise ModelError(f"the .tflite file has {subgraphs} subgraphs, a classifier has one; export it again")

    @cached_property
    def _model(self) -> Any:
        from ai_edge_litert import schema_py_generated as schema

        return schema.ModelT.InitFromPackedBuf(self.data, 0)

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        types = _names("TensorType")
        return tuple(
            Tensor(
                i,
                text(t.name),
                tuple(int(n) for n in t.shape) if t.shape is not None else (),
                types.get(t.type, str(t.type)).lower(),
                _constant(self._model, t),
            )
            for i, t in enumerate(self._model.subgraphs[0].tensors)
        )

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        ops = _names("BuiltinOperator")
        found: list[Operator] = []
        for i, operator in enumerate(self._model.subgraphs[0].operators):
            code = self._model.operatorCodes[operator.opcodeIndex]
            name = ops.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")
            options = vars(operator.builtinOptions) if operator.builtinOptions is not None else {}
            outputs = tuple(int(n) for n in operator.outputs)
            found.append(
                Operator(
                    i,
                    text(code.customCode) if name == "CUSTOM" else name,
                    code.version,
                    self.tensors[outputs[0]].name,
                    tuple(int(n) for n in operator.inputs),
                    outputs,
                    options,
                )
            )
        return tuple(found)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Operators with constant weights, in the order of execution."""
        found: list[Layer] = []
        for operator in self.operators:
            if operator.op not in LAYER_OPERATORS or self.tensors[operator.inputs[1]].constant is None:
                continue
            place = 2 if operator.op == "TRANSPOSE_CONV" else 0
            rest = operator.inputs[3 if operator.op == "TRANSPOSE_CONV" else 2 :]
            bias = rest[0] if rest and rest[0] >= 0 else None
            found.append(Layer(operator, operator.inputs[place], operator.inputs[1], bias, operator.outputs[0]))
        return tuple(found)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Tensor indices of the graph's inputs."""
        return tuple(int(i) for i in self._model.subgraphs[0].inputs)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Tensor indices of the graph's outputs."""
        return tuple(int(i) for i in self._model.subgraphs[0].outputs)

    @cached_property
    def activations(self) -> tuple[int, ...]:
        """Indices of the float32 tensors that the graph computes, its inputs first."""
        computed = [*self.inputs, *(o for operator in self.operators for o in operator.outputs)]
        return tuple(i for i in dict.fromkeys(computed) if self.tensors[i].type == "float32")

    def constant(self, index: int) -> NDArray[Any]:
        """The constant tensor's array. Raises: ModelError: the graph computes it."""
        value = self.tensors[index].constant
        if value is None:
            raise ModelError(f"tensor {self.tensors[index].name!r} is computed, a constant is needed; export it again")
        return value

    def with_constants(self, values: Mapping[int, NDArray[Any]]) -> FloatGraph:
        """The graph with other values in some of its constants; shapes and types stay."""
        from ai_edge_litert import schema_py_generated as schema

        model: Any = schema.ModelT.InitFromPackedBuf(self.data, 0)
        tensors = model.subgraphs[0].tensors
        for index, value in values.items():
            old = self.constant(index)
            new = np.ascontiguousarray(value, old.dtype)
            if new.shape != old.shape:
                raise ValueError(f"{self.tensors[index].name}: shape {new.shape} for {old.shape}")
            # A buffer of its own: tensors of equal content may share one.
            buffer: Any = schema.BufferT()
            buffer.data = new.reshape(-1).view(np.uint8)
            model.buffers.append(buffer)
            tensors[index].buffer = len(model.buffers) - 1
        drop_unread_buffers(model)
        return FloatGraph(pack(model))

    def with_ranges(self, ranges: Mapping[int, tuple[float, float]]) -> FloatGraph:
        """The graph with (low, high) of activations written beside them, where quantizers look for them."""
        from ai_edge_litert import schema_py_generated as schema

        model: Any = schema.ModelT.InitFromPackedBuf(self.data, 0)
        for index, (low, high) in ranges.items():
            quantization = schema.QuantizationParametersT()
            quantization.min, quantization.max = [low], [high]
            model.subgraphs[0].tensors[index].quantization = quantization
        return FloatGraph(pack(model))


def drop_unread_buffers(model: Any) -> None:
    """Empty the buffers that nothing reads; they stay in their places, so that indices stay true. In place."""
    used = {t.buffer for graph in model.subgraphs for t in graph.tensors} | {m.buffer for m in model.metadata or ()}
    for i, buffer in enumerate(model.buffers):
        if i not in used:
            buffer.data = None


def _constant(model: Any, tensor: Any) -> NDArray[Any] | None:
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    types = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16, 9: np.int8}
    dtype = types.get(tensor.type)
    if dtype is None:
        return None
    shape = tuple(tensor.shape) if tensor.shape is not None else ()
    array = np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(shape)
    array.flags.writeable = False
    return array


def _names(enumeration: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(getattr(schema, enumeration)).items() if isinstance(value, int)}


def text(value: Any) -> str:
    """A name in the file, which may be bytes or absent."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
