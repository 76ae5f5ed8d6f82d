"""Walk through an ONNX graph, node by node, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.sources.onnx.node import Node
from converters.sources.onnx.table import OPERATORS
from converters.sources.onnx.value import Value, in_onnx_order
from edge_cnn.core.errors import ModelError

_MAX_FOLDED = 2**28
"""Elements; a damaged file may ask for a constant that no memory holds."""

_SIZED_BY_INPUT = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}
_FLOATS = ("float16", "float64", "bfloat16")


def unknown_operators(model: Any) -> dict[str, str]:
    """Operator -> the first layer that has it, for nodes that depend on the input and are not in `OPERATORS`."""
    graph = model.graph
    computed = {graph.input[0].name}
    found: dict[str, str] = {}
    for node in graph.node:
        if computed.isdisjoint(node.input) and node.input:
            continue
        if node.op_type == "Constant":
            continue
        if node.op_type != "Shape":
            computed.update(node.output)
            name = operator_name(node)
            if name not in OPERATORS:
                found.setdefault(name, layer_name(node))
    return found


def operator_name(node: Any) -> str:
    """With the domain where it is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def layer_name(node: Any) -> str:
    """The node's own name, or that of its first output."""
    return node.name or (node.output[0] if node.output else node.op_type)


def forward(model: Any, batch: int | None) -> Callable[[Any, Any, tuple[int, ...]], Any]:
    """A function (tensorflow, tensor, axes) -> tensor that computes what the graph computes.

    `axes` says how the input tensor stores ONNX's axes, see `Value`; the output comes in ONNX's order.

    Args:
        model: an onnx.ModelProto with one input and one output and no unknown operator.
        batch: the size of the batch that the file has built in, None where it has none.
    """
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    constants = {tensor.name: _weights(tensor) for tensor in model.graph.initializer}

    def run(tf: Any, tensor: Any, axes: tuple[int, ...]) -> Any:
        values: dict[str, Value | NDArray[Any]] = {**constants, model.graph.input[0].name: Value(tensor, axes)}
        for node in model.graph.node:
            values.update(_results(tf, node, values, opset, batch))
        result = values[model.graph.output[0].name]
        if not isinstance(result, Value):
            raise ModelError("the output does not depend on the input; give the model that was trained")
        return in_onnx_order(tf, result)

    return run


def _weights(tensor: Any) -> NDArray[Any]:
    import onnx

    try:
        return _as_float32(onnx.numpy_helper.to_array(tensor))
    # A type that numpy has not, sizes that do not fit the bytes, bytes that do not fit the type, ...
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"the weights {tensor.name!r} are damaged: {reason[:200]}; copy the file again") from error


def _results(
    tf: Any, node: Any, values: dict[str, Value | NDArray[Any]], opset: int, batch: int | None
) -> dict[str, Value | NDArray[Any]]:
    import onnx

    try:
        inputs = tuple(values[name] if name else None for name in node.input)
    except KeyError as error:
        raise ModelError(f"layer {layer_name(node)!r} reads {error}, which no layer writes; save it again") from None
    while inputs and inputs[-1] is None:
        inputs = inputs[:-1]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    try:
        if node.op_type == "Shape" and isinstance(inputs[0], Value):
            # 0 is what Reshape understands as the batch of its input.
            sizes = np.array((0, *inputs[0].sizes), np.int64)
            outputs: Any = (sizes[attributes.get("start", 0) : attributes.get("end", len(sizes))],)
        elif not any(isinstance(value, Value) for value in inputs):
            outputs = _folded(node, inputs, opset)
        else:
            count = sum(map(bool, node.output))
            # In the graph of TensorFlow, and so in the files made of it, layers keep the names that the source gave.
            with tf.name_scope(_scope(layer_name(node))):
                outputs = OPERATORS[operator_name(node)](
                    Node(tf, node.op_type, inputs, attributes, opset, count, batch)
                )
    # Functions of operators raise ValueError for what they do not take; TensorFlow and the folding raise theirs.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(
            f"the operator {operator_name(node)} of layer {layer_name(node)!r} cannot be read: {reason[:200]}; "
            "export the model in another form"
        ) from error
    if not isinstance(outputs, tuple):
        outputs = (outputs,)
    return {name: value for name, value in zip(node.output, outputs, strict=False) if name}


def _folded(node: Any, inputs: tuple[Any, ...], opset: int) -> tuple[Any, ...]:
    """The results of a node whose inputs are constants, from ONNX's own reference."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    place = _SIZED_BY_INPUT.get(node.op_type)
    if place is not None:
        whole = np.prod([float(size) for size in inputs[place].reshape(-1)])
        if whole * (np.size(inputs[0]) if node.op_type == "Tile" else 1) > _MAX_FOLDED:
            raise ValueError(f"a constant of {whole:.0f} elements")
    names = [name for name in node.input if name]
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [onnx.helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names)],
        [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    given = {name: values for name, values in zip(node.input, inputs, strict=False) if name}
    return tuple(_as_float32(np.asarray(value)) for value in ReferenceEvaluator(model).run(None, given))


def _as_float32(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) if str(values.dtype) in _FLOATS else values


def _scope(name: str) -> str:
    """A name that TensorFlow takes as a scope."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-/") else "_" for c in name).strip("/_.-")
    return kept or "layer"
