"""Where the last layer of an ONNX classifier stands: which nodes compute it, which constants hold it.

Walks back from the graph's only output:

    embedding -> [DQ] -> Gemm | MatMul [-> Q -> DQ] -> Add  -> [Q -> DQ] -> Reshape, Softmax, ... -> output

where Q and DQ are QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_cnn.core.errors import ModelError, NoHeadError
from edge_cnn.device.onnx_file import OnnxModel
from edge_cnn.device.onnx_node import Node
from edge_cnn.device.onnx_parameter import (
    DEQUANTIZE,
    FLOATS,
    QUANTIZER_DOMAINS,
    Parameter,
    is_constant,
    is_quantizer,
    quantizer_params,
    read_parameter,
)
from edge_cnn.device.onnx_tensor import DTYPES
from edge_cnn.device.protobuf_wire import damaged

_SHAPE_OPS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout"}
"""They hand the values on unchanged."""
_SOFTMAX_OPS = {"Softmax", "LogSoftmax"}


@dataclass(frozen=True)
class HeadLayout:
    """The last layer as it stands in the graph.

    Attributes:
        node: the Gemm or MatMul.
        embedding: name of the tensor that the layer reads: codes where `embedding_node` is a DQ.
        embedding_node: the DQ between the embedding and the layer, None for a float embedding.
        weights: stored (classes, features) if `transposed`, else (features, classes).
        bias: None for a layer without one.
        products: Q and DQ nodes between a MatMul and its Add.
        result: name of the float tensor that the layer, bias included, writes.
        logits: Q and DQ nodes after the layer up to the softmax or the output, all of the same quantization.
    """

    node: Node
    embedding: str
    embedding_node: Node | None
    weights: Parameter
    transposed: bool
    bias: Parameter | None
    products: tuple[Node, ...]
    result: str
    logits: tuple[Node, ...]


def find_head(model: OnnxModel) -> HeadLayout:
    """Find the final fully-connected layer.

    Raises:
        NoHeadError: the graph does not end with one; says what it ends with.
        ModelError: the layer has a form that the surgery does not know, or the file is damaged.
    """
    tail, last = _walk_tail(model)
    softmaxes = [i for i, node in enumerate(tail) if node.op in _SOFTMAX_OPS]
    # `tail` starts at the output: what lies between the layer and the first softmax are logits.
    logits = [n for n in tail[(softmaxes[-1] + 1 if softmaxes else 0) :] if is_quantizer(n)][::-1]
    bias: Parameter | None = None
    products: list[Node] = []
    node = last
    if last.op == "Add":
        constants = [i for i, name in enumerate(last.inputs) if is_constant(model, name)]
        if len(last.inputs) != 2 or len(constants) != 1:
            raise NoHeadError(f"{_ends_with(last)}, whose inputs are not one tensor and one constant bias")
        bias = read_parameter(model, last, constants[0])
        node, products = _walk_products(model, last, 1 - constants[0])
    if node.op == "MatMul":
        transposed = False
    else:
        transposed = _check_gemm(node)
        if node.input(2):
            if bias is not None:
                raise ModelError(f"{node.describe()} has a bias and {last.describe()} adds another; fold them into one")
            bias = read_parameter(model, node, 2)
    weights = read_parameter(model, node, 1)
    if len(weights.tensor.dims) != 2 or 0 in weights.tensor.dims:
        shape = list(weights.tensor.dims)
        raise ModelError(f"{node.describe()} has weights of shape {shape}; a last layer has features x classes")
    class_axis = 0 if transposed else 1
    _check_params(weights, class_axis, node)
    if bias is not None:
        _check_bias(bias, weights.tensor.dims[class_axis], node)
    embedding, embedding_node = _embedding(model, node)
    return HeadLayout(
        node, embedding, embedding_node, weights, transposed, bias, tuple(products), last.outputs[0], tuple(logits)
    )


def ends_with_softmax(model: OnnxModel) -> bool:
    """Whether the graph's only output is a softmax, apart from quantization and changes of shape."""
    if len(model.outputs) != 1:
        return False
    name, seen = model.outputs[0].name, set[str]()
    while (node := model.producers.get(name)) is not None and name not in seen:
        if node.op == "Softmax":
            return True
        if not node.inputs or not (node.op in _SHAPE_OPS or is_quantizer(node)):
            return False
        seen.add(name)
        name = node.inputs[0]
    return False


def _walk_tail(model: OnnxModel) -> tuple[list[Node], Node]:
    """The nodes from the output back to the layer's last node, and that node."""
    if len(model.outputs) != 1:
        raise NoHeadError(f"the graph has {len(model.outputs)} outputs; a classifier to fine-tune has one")
    name = model.outputs[0].name
    tail: list[Node] = []
    while True:
        node = model.producers.get(name)
        if node is None:
            raise NoHeadError(f"no layer writes {name!r}, which the graph's output comes from; nothing to fine-tune")
        if node.domain in QUANTIZER_DOMAINS and node.op in ("Gemm", "MatMul", "Add"):
            return tail, node
        passes = node.op in _SHAPE_OPS or node.op in _SOFTMAX_OPS or is_quantizer(node)
        other_use = (node.op in _SOFTMAX_OPS and node.attributes.get("axis") == 0) or (
            node.op == "Cast" and not _casts_to_float(node)
        )
        if not passes or not node.inputs or other_use:
            raise NoHeadError(_ends_with(node))
        if len(tail) > len(model.nodes):
            raise damaged(f"{node.describe()} reads its own output")
        tail.append(node)
        name = node.inputs[0]


def _casts_to_float(node: Node) -> bool:
    target = node.attributes.get("to")
    return isinstance(target, int) and DTYPES.get(target) in FLOATS


def _ends_with(node: Node) -> str:
    return (
        f"the graph ends with {node.describe()}, not with a fully-connected layer (Gemm or MatMul); "
        "fine-tuning needs a model that has one last"
    )


def _walk_products(model: OnnxModel, add: Node, index: int) -> tuple[Node, list[Node]]:
    """From an Add back to its MatMul, over Q and DQ."""
    name, between = add.inputs[index], list[Node]()
    while (node := model.producers.get(name)) is not None and len(between) <= len(model.nodes):
        if node.op in ("MatMul", "Gemm"):
            return node, between[::-1]
        if not is_quantizer(node) or not node.inputs:
            break
        between.append(node)
        name = node.inputs[0]
    raise NoHeadError(_ends_with(add))


def _check_gemm(node: Node) -> bool:
    """Whether the weights are (classes, features)."""
    wanted = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    wrong = {k: node.attributes[k] for k, v in wanted.items() if node.attributes.get(k, v) != v}
    if wrong:
        raise ModelError(f"{node.describe()} has {wrong}; edge_cnn knows a Gemm with alpha = beta = 1 and transA = 0")
    return bool(node.attributes.get("transB", 0))


def _check_params(weights: Parameter, class_axis: int, node: Node) -> None:
    params = weights.params
    if params is None or len(params.scales) == 1:
        return
    if params.axis not in (class_axis, class_axis - 2) or len(params.scales) != weights.tensor.dims[class_axis]:
        raise ModelError(
            f"{node.describe()} has {len(params.scales)} weight scales along axis {params.axis}, "
            f"not one a class along axis {class_axis}; quantize per tensor or per channel"
        )


def _check_bias(bias: Parameter, classes: int, node: Node) -> None:
    dims = bias.tensor.dims
    if dims not in ((classes,), (1, classes)):
        raise ModelError(
            f"{node.describe()} has a bias of shape {list(dims)} for {classes} classes; give it one a class"
        )
    params = bias.params
    if params is None or len(params.scales) == 1:
        return
    if params.axis not in (len(dims) - 1, -1) or len(params.scales) != classes:
        raise ModelError(
            f"{node.describe()} has {len(params.scales)} bias scales along axis {params.axis} for {classes} classes; "
            "quantize it per tensor or per channel"
        )


def _embedding(model: OnnxModel, node: Node) -> tuple[str, Node | None]:
    name = node.input(0)
    producer = model.producers.get(name)
    if producer is None or producer.op != DEQUANTIZE or not is_quantizer(producer):
        return name, None
    if len(quantizer_params(model, producer).scales) != 1:
        raise ModelError(f"{node.describe()} reads an embedding with several scales; quantize activations per tensor")
    return producer.input(0), producer
