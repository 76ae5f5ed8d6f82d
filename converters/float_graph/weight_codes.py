"""Files whose weights alone are codes (dynamic-range int8, float16), back to float32.

The activations of such a file are float32, so nothing but the weights was rounded, and each weight is exactly
scale * (code - zero point) or its float16 value: what comes out computes what the file's author measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.packing import pack

_FLOAT32, _FLOAT16, _INT8, _UINT8 = 0, 1, 9, 3


def with_float_weights(graph: FloatGraph) -> FloatGraph:
    """The graph with float32 in place of every constant that is int8, uint8 or float16; itself where there is none.

    DEQUANTIZE operators that read constants are folded away, and operators get version 1, of pure float32, where their
    weights were codes.
    """
    from ai_edge_litert import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromPackedBuf(graph.data, 0)
    subgraph = model.subgraphs[0]
    changed = {
        t.index: _floats(model, t.index, t.constant)
        for t in graph.tensors
        if t.constant is not None and subgraph.tensors[t.index].type in (_FLOAT16, _INT8, _UINT8)
    }
    if not changed:
        return graph
    for index, values in changed.items():
        _set_constant(schema, model, index, values)
    kept: list[Any] = []
    for operator, raw in zip(graph.operators, subgraph.operators, strict=True):
        if operator.op == "DEQUANTIZE" and operator.inputs[0] in changed:
            _set_constant(schema, model, operator.outputs[0], changed[operator.inputs[0]])
            continue
        if changed.keys() & set(operator.inputs):
            raw.opcodeIndex = _code_of_version_1(schema, model, raw.opcodeIndex)
        kept.append(raw)
    subgraph.operators = kept
    return FloatGraph(pack(model))


def _floats(model: Any, index: int, constant: NDArray[Any]) -> NDArray[np.float32]:
    tensor = model.subgraphs[0].tensors[index]
    if tensor.type == _FLOAT16:
        return constant.astype(np.float32)
    quantization = tensor.quantization
    scale = np.asarray(quantization.scale, np.float32)
    zero_point = np.asarray(quantization.zeroPoint, np.int32)
    if scale.size > 1:
        shape = [1] * constant.ndim
        shape[quantization.quantizedDimension] = scale.size
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    # Widen first: int8 minus a zero point overflows.
    return ((constant.astype(np.int32) - zero_point) * scale).astype(np.float32)


def _set_constant(schema: Any, model: Any, index: int, values: NDArray[np.float32]) -> None:
    buffer: Any = schema.BufferT()
    buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    model.buffers.append(buffer)
    tensor = model.subgraphs[0].tensors[index]
    model.buffers[tensor.buffer].data = None
    tensor.buffer, tensor.type, tensor.quantization = len(model.buffers) - 1, _FLOAT32, None


def _code_of_version_1(schema: Any, model: Any, index: int) -> int:
    old = model.operatorCodes[index]
    for i, code in enumerate(model.operatorCodes):
        if (code.builtinCode, code.deprecatedBuiltinCode, code.version) == (
            old.builtinCode,
            old.deprecatedBuiltinCode,
            1,
        ):
            return i
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = old.builtinCode, old.deprecatedBuiltinCode, 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
