"""What must hold for the last layer of an ONNX graph to be tuned, each with the message for when it does not."""

from __future__ import annotations

import math

from edge_cnn.core.errors import ModelError, NoHeadError
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.head_layout import HeadLayout, Layer
from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.parameter import Parameter

_POOLS = ("GlobalAveragePool", "GlobalMaxPool", "QLinearGlobalAveragePool")
_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Dropout", "Identity", "Cast")
_ARITHMETIC = ("Mul", "Add", "Div", "BatchNormalization", "QuantizeLinear", "DequantizeLinear")
_PIXELWISE = (*_ACTIVATIONS, *_ARITHMETIC, "Transpose")
"""They keep height and width, which a Transpose may at most move elsewhere."""


def check_head(model: OnnxModel, layout: HeadLayout) -> None:
    """Refuse a last layer that surgery does not know.

    Raises:
        NoHeadError: a convolution that sees more than one vector a sample.
        ModelError: weights, bias or quantization of another form than a dense layer's.
    """
    layer = layout.layer
    node, dims = layer.node, layer.weights.tensor.dims
    if layer.is_convolution:
        if len(dims) != 4 or dims[2:] != (1, 1) or 0 in dims:
            raise NoHeadError(
                f"the graph ends with {node.describe()}, whose weights have shape {list(dims)}; fine-tuning needs a "
                "model that ends with a fully-connected layer or a 1x1 convolution of one vector a sample"
            )
    elif len(dims) != 2 or 0 in dims or layer.weights.reshaped:
        raise ModelError(f"{node.describe()} has weights of shape {list(dims)}; a last layer has features x classes")
    _check_params(layer)
    if layout.bias is not None:
        _check_bias(layout.bias, layer)
    if layer.is_convolution:
        _check_one_vector(model, layout)


def _check_params(layer: Layer) -> None:
    weights, params, class_axis = layer.weights, layer.weights.params, layer.class_axis
    if params is None or len(params.scales) == 1:
        return
    rank = len(weights.tensor.dims)
    if params.axis not in (class_axis, class_axis - rank) or len(params.scales) != layer.classes:
        raise ModelError(
            f"{layer.node.describe()} has {len(params.scales)} weight scales along axis {params.axis}, "
            f"not one a class along axis {class_axis}; quantize per tensor or per channel"
        )


def _check_bias(bias: Parameter, layer: Layer) -> None:
    dims, classes = bias.tensor.dims, layer.classes
    own = bias is layer.bias or bias.reshaped
    wide = ((classes, 1, 1), (1, classes, 1, 1)) if layer.is_convolution and not own else ((classes,), (1, classes))
    if dims not in (wide if not own else ((classes,), (1, classes))):
        raise ModelError(
            f"{layer.node.describe()} has a bias of shape {list(dims)} for {classes} classes; give it one a class"
        )
    params = bias.params
    if params is None or len(params.scales) == 1:
        return
    if params.axis not in (len(dims) - 1, -1) or len(params.scales) != classes:
        raise ModelError(
            f"{layer.node.describe()} has {len(params.scales)} bias scales along axis {params.axis} for {classes} "
            "classes; quantize it per tensor or per channel"
        )


def _check_one_vector(model: OnnxModel, layout: HeadLayout) -> None:
    """A convolution is a dense layer where height and width are 1: told by a declared shape, or by a pooling before."""
    declared = {v.spec.name: v.spec.shape for v in (*model.value_info, *model.output_values) if v.has_shape}
    layer, result = layout.layer, layout.result
    names = [(layer.embedding, layer.features), (layer.node.outputs[0], layer.classes), (result, layer.classes)]
    for node in layout.tail:
        if node.op == "Reshape":
            # It may have moved the pixels into the batch: what it declares proves nothing.
            break
        names += [(name, layer.classes) for name in node.outputs[:1]]
    for name, width in names:
        sizes = declared.get(name, ())[1:]
        if sizes and min(sizes) > 0:
            if math.prod(sizes) == width:
                return
            raise NoHeadError(
                f"the graph ends with {layer.node.describe()} on more than one vector a sample: {name!r} has shape "
                f"{list(declared[name])}; fine-tuning needs a model with a global pooling before its last layer"
            )
    if not _follows_pooling(model, layer.embedding):
        raise NoHeadError(
            f"the graph ends with {layer.node.describe()}, and the file does not tell whether that sees one vector a "
            "sample; run onnx.shape_inference on it, or export it with a fully-connected layer last"
        )


def _follows_pooling(model: OnnxModel, name: str) -> bool:
    """Whether the tensor comes from global poolings alone, over 1x1 convolutions and pixel by pixel operators."""
    waiting, seen = [name], set[str]()
    while waiting:
        name = waiting.pop()
        node = model.producers.get(name)
        if node is None:
            return False
        if name in seen or node.op in _POOLS or (node.op == "ReduceMean" and _pools_all(model, node)):
            continue
        seen.add(name)
        read = [n for n in node.inputs if n and n not in model.constants]
        if not read or not (node.op in _PIXELWISE or _is_pointwise(model, node)):
            return False
        waiting += read
    return True


def _pools_all(model: OnnxModel, node: Node) -> bool:
    axes = node.attributes.get("axes")
    if axes is None and node.input(1) in model.constants:
        axes = tuple(int(a) for a in model.constants[node.input(1)].tensor.values().reshape(-1))
    return isinstance(axes, tuple) and len(axes) == 2 and node.attributes.get("keepdims", 1) == 1


def _is_pointwise(model: OnnxModel, node: Node) -> bool:
    stored = model.constants.get(node.input(1))
    return node.op == "Conv" and stored is not None and stored.tensor.dims[2:] == (1, 1)
