"""A `.tflite` being changed: constants, tensors and operators in, versions settled, bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import pack, text
from converters.schemes.operator_versions import OperatorVersion, later, version_of

_MIN_RUNTIME = "min_runtime_version"
_MIN_RUNTIME_BYTES = 16
_OLDEST_RUNTIME = "1.5.0"


class TfliteEdit:
    """One file of one subgraph, changed in place by the calls below.

    Args:
        data: the file.
    """

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema: Any = schema
        self.model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
        self.graph: Any = self.model.subgraphs[0]
        self._types = {v: k.lower() for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
        self._ops = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}

    @property
    def tensors(self) -> list[Any]:
        return self.graph.tensors

    @property
    def operators(self) -> list[Any]:
        """In the order of execution; a list to change."""
        self.graph.operators = list(self.graph.operators)
        return self.graph.operators

    def name_of(self, operator: Any) -> str:
        """As the schema names it: "CONV_2D"."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return self._ops[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def type_of(self, index: int) -> str:
        """A tensor's type as the schema names it, in small letters."""
        return self._types[self.tensors[index].type]

    def quantization(
        self, scales: NDArray[np.floating] | Sequence[float], zero_points: Sequence[int] | None = None, axis: int = 0
    ) -> Any:
        """Quantization parameters; zero points are 0 if None."""
        made: Any = self._schema.QuantizationParametersT()
        made.scale = np.asarray(scales, np.float32)
        made.zeroPoint = (
            np.zeros(made.scale.size, np.int64) if zero_points is None else np.asarray(zero_points, np.int64)
        )
        made.quantizedDimension = axis
        return made

    def set_constant(self, index: int, values: NDArray[Any], type: str, quantization: Any = None) -> None:
        """Give a tensor other contents and another type; a buffer of its own, as tensors of equal content share one.

        Args:
            index: of the tensor.
            values: of the shape of the tensor, or what the type packs it into.
            type: "int8", "int4", ...
            quantization: its parameters, if any.
        """
        tensor = self.tensors[index]
        tensor.buffer = self._buffer(values)
        tensor.type, tensor.quantization = self._type(type), quantization

    def add_tensor(
        self, name: str, shape: Sequence[int], type: str, quantization: Any = None, values: NDArray[Any] | None = None
    ) -> int:
        """A new tensor, constant where it has values; its index."""
        tensor: Any = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, np.asarray(shape, np.int32), self._type(type)
        tensor.quantization = quantization
        tensor.buffer = 0 if values is None else self._buffer(values)
        self.graph.tensors = [*self.tensors, tensor]
        return len(self.tensors) - 1

    def add_operator(self, position: int, op: str, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """A new operator without options, before the one at `position`; its version is settled by `finish`."""
        operator: Any = self._schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(self._schema.BuiltinOperator, op), 1)
        operator.inputs, operator.outputs = np.asarray(inputs, np.int32), np.asarray(outputs, np.int32)
        self.operators.insert(position, operator)

    def finish(self) -> bytes:
        """The file, with the versions that its operators need and nothing that nobody reads."""
        runtime = self._min_runtime()
        for operator in self.operators:
            needed = self._needed(operator)
            if needed is None:
                continue
            runtime = later(runtime, needed.runtime)
            code = self.model.operatorCodes[operator.opcodeIndex]
            operator.opcodeIndex = self._code(max(code.builtinCode, code.deprecatedBuiltinCode), needed.version)
        self._drop_unused_codes()
        self._set_min_runtime(runtime)
        self._drop_unread_buffers()
        return pack(self.model)

    def _needed(self, operator: Any) -> OperatorVersion | None:
        op = self.name_of(operator)
        inputs = [int(i) for i in operator.inputs]
        types = tuple(self.type_of(i) for i in inputs if i >= 0)
        place = 0 if op == "DEQUANTIZE" else 1
        quantization = self.tensors[inputs[place]].quantization if len(inputs) > place else None
        scales = None if quantization is None else quantization.scale
        per_channel = scales is not None and len(scales) > 1
        return version_of(op, types, self.type_of(int(operator.outputs[0])), per_channel=per_channel)

    def _code(self, builtin: int, version: int) -> int:
        for i, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin and code.version == version:
                return i
        code: Any = self._schema.OperatorCodeT()
        # The older field is 8 bits wide; 127 there says that the newer one holds the number.
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), version
        self.model.operatorCodes = [*self.model.operatorCodes, code]
        return len(self.model.operatorCodes) - 1

    def _drop_unused_codes(self) -> None:
        used = sorted({operator.opcodeIndex for graph in self.model.subgraphs for operator in graph.operators})
        for graph in self.model.subgraphs:
            for operator in graph.operators:
                operator.opcodeIndex = used.index(operator.opcodeIndex)
        self.model.operatorCodes = [self.model.operatorCodes[i] for i in used]

    def _drop_unread_buffers(self) -> None:
        tensors = [t for graph in self.model.subgraphs for t in graph.tensors]
        readers = [*tensors, *(self.model.metadata or ())]
        # Buffer 0 is empty by the schema, and stands for "computed".
        used = sorted({0} | {reader.buffer for reader in readers})
        for reader in readers:
            reader.buffer = used.index(reader.buffer)
        self.model.buffers = [self.model.buffers[i] for i in used]

    def _buffer(self, values: NDArray[Any]) -> int:
        buffer: Any = self._schema.BufferT()
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.model.buffers = [*self.model.buffers, buffer]
        return len(self.model.buffers) - 1

    def _type(self, name: str) -> int:
        return int(getattr(self._schema.TensorType, name.upper()))

    def _min_runtime(self) -> str:
        for entry in self.model.metadata or ():
            if text(entry.name) == _MIN_RUNTIME:
                data = self.model.buffers[entry.buffer].data
                if data is not None and len(data):
                    return bytes(data).rstrip(b"\0").decode()
        return _OLDEST_RUNTIME

    def _set_min_runtime(self, runtime: str) -> None:
        content = np.frombuffer(runtime.encode().ljust(_MIN_RUNTIME_BYTES, b"\0"), np.uint8)
        for entry in self.model.metadata or ():
            if text(entry.name) == _MIN_RUNTIME:
                entry.buffer = self._buffer(content)
                return
        entry: Any = self._schema.MetadataT()
        entry.name, entry.buffer = _MIN_RUNTIME, self._buffer(content)
        self.model.metadata = [*(self.model.metadata or []), entry]
