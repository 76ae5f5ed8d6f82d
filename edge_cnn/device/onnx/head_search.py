"""Find the last fully-connected layer of an ONNX graph, walking back from its only output."""

from __future__ import annotations

from edge_cnn.core.errors import ModelError, NoHeadError
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.head_checks import check_head
from edge_cnn.device.onnx.head_layer import read_layer
from edge_cnn.device.onnx.head_layout import HeadLayout, Layer
from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.parameter import Parameter, is_constant, read_codes, read_parameter
from edge_cnn.device.onnx.protobuf_wire import damaged
from edge_cnn.device.onnx.quantizer import (
    FLOATS,
    QUANTIZE,
    QUANTIZER_DOMAINS,
    Quantizer,
    is_quantizer,
    linear_quantizer,
    operand_quantizer,
)
from edge_cnn.device.onnx.tensor import DTYPES

_SHAPE_OPS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout", "Transpose"}
"""They hand the values on unchanged."""
_SOFTMAX_OPS = {"Softmax", "LogSoftmax", "QLinearSoftmax"}
_ADDS = {"Add", "QLinearAdd"}


def find_head(model: OnnxModel) -> HeadLayout:
    """Find the final fully-connected layer.

    Raises:
        NoHeadError: the graph does not end with one; says what it ends with.
        ModelError: the layer has a form that the surgery does not know, or the file is damaged.
    """
    tail, last, layer = _walk_tail(model)
    softmaxes = [i for i, node in enumerate(tail) if node.op in _SOFTMAX_OPS]
    bias: Parameter | None = None
    products: list[Quantizer] = []
    result_quantizer = None
    if layer is None:
        layer, bias, products, result_quantizer = _read_sum(model, last)
        if layer.bias is not None:
            raise ModelError(
                f"{layer.node.describe()} has a bias and {last.describe()} adds another; fold them into one"
            )
    else:
        bias, result_quantizer = layer.bias, layer.result_quantizer
    result = last.outputs[0]
    codes = result if result_quantizer is not None else None
    logits = [result_quantizer] if result_quantizer is not None else []
    # What lies between the layer and the first softmax are logits.
    for node in tail[: softmaxes[0] if softmaxes else len(tail)]:
        if is_quantizer(node):
            logits.append(linear_quantizer(node))
            if codes is None and node.op == QUANTIZE and node.input(0) == result:
                codes = node.outputs[0]
    if softmaxes and tail[softmaxes[0]].op == "QLinearSoftmax":
        logits.append(operand_quantizer(tail[softmaxes[0]], 1))
    layout = HeadLayout(layer, bias, tuple(products), result, result_quantizer, tuple(logits), codes, tuple(tail))
    check_head(model, layout)
    return layout


def ends_with_softmax(model: OnnxModel) -> bool:
    """Whether the graph's only output is a softmax, apart from quantization and changes of shape."""
    if len(model.outputs) != 1:
        return False
    name, seen = model.outputs[0].name, set[str]()
    while (node := model.producers.get(name)) is not None and name not in seen:
        if node.op in ("Softmax", "QLinearSoftmax"):
            return True
        if not node.inputs or not (node.op in _SHAPE_OPS or is_quantizer(node)):
            return False
        seen.add(name)
        name = node.inputs[0]
    return False


def _walk_tail(model: OnnxModel) -> tuple[list[Node], Node, Layer | None]:
    """The nodes behind the layer up to the output, the layer's last node, and the layer unless that is an Add."""
    if len(model.outputs) != 1:
        raise NoHeadError(f"the graph has {len(model.outputs)} outputs; a classifier to fine-tune has one")
    name = model.outputs[0].name
    tail: list[Node] = []
    while True:
        node = model.producers.get(name)
        if node is None:
            raise NoHeadError(f"no layer writes {name!r}, which the graph's output comes from; nothing to fine-tune")
        if node.domain in QUANTIZER_DOMAINS:
            if node.op in _ADDS:
                return tail[::-1], node, None
            layer = read_layer(model, node)
            if layer is not None:
                return tail[::-1], node, layer
        passes = node.op in _SHAPE_OPS or node.op in _SOFTMAX_OPS or is_quantizer(node)
        if not passes or not node.inputs or _changes_values(node):
            raise NoHeadError(_ends_with(node))
        if len(tail) > len(model.nodes):
            raise damaged(f"{node.describe()} reads its own output")
        tail.append(node)
        name = node.inputs[0]


def _changes_values(node: Node) -> bool:
    """Whether it does more than pass values on, or is no softmax over the classes."""
    if node.op in _SOFTMAX_OPS:
        return node.attributes.get("axis") == 0
    if node.op == "Transpose":
        permutation = node.attributes.get("perm")
        return not isinstance(permutation, tuple) or permutation[0] != 0
    target = node.attributes.get("to")
    return node.op == "Cast" and not (isinstance(target, int) and DTYPES.get(target) in FLOATS)


def _ends_with(node: Node) -> str:
    return (
        f"the graph ends with {node.describe()}, not with a fully-connected layer (Gemm, MatMul or 1x1 Conv); "
        "fine-tuning needs a model that has one last"
    )


def _read_sum(model: OnnxModel, add: Node) -> tuple[Layer, Parameter, list[Quantizer], Quantizer | None]:
    """An Add of a constant to a layer: layer, bias, quantizers between the two, and that of the sum."""
    on_codes = add.op == "QLinearAdd"
    places = (0, 3) if on_codes else (0, 1)
    constants = [i for i in places if is_constant(model, add.input(i))]
    if len(constants) != 1 or len(add.inputs) != (8 if on_codes else 2):
        raise NoHeadError(f"{_ends_with(add)}, whose inputs are not one tensor and one constant bias")
    place = constants[0]
    product = places[1] if place == 0 else 0
    layer, products = _walk_products(model, add, product)
    if layer.result_quantizer is not None:
        products.insert(0, layer.result_quantizer)
    if not on_codes:
        return layer, read_parameter(model, add, place), products, None
    products.append(operand_quantizer(add, product + 1))
    bias = read_codes(model, add, place, operand_quantizer(add, place + 1))
    return layer, bias, products, operand_quantizer(add, 6)


def _walk_products(model: OnnxModel, add: Node, index: int) -> tuple[Layer, list[Quantizer]]:
    """From an Add back to its layer, over Q and DQ."""
    name, between = add.inputs[index], list[Quantizer]()
    while (node := model.producers.get(name)) is not None and len(between) <= len(model.nodes):
        layer = read_layer(model, node)
        if layer is not None:
            return layer, between[::-1]
        if not is_quantizer(node) or not node.inputs:
            break
        between.append(linear_quantizer(node))
        name = node.inputs[0]
    raise NoHeadError(_ends_with(add))
