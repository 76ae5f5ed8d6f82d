"""The operators that can be the last layer of an ONNX classifier, one function for each form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge_cnn.core.errors import ModelError, NoHeadError
from edge_cnn.device.head.quantization import bias_params
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.head_layout import Layer
from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.parameter import Parameter, read_codes, read_implied_bias, read_parameter
from edge_cnn.device.onnx.quantizer import (
    DEQUANTIZE,
    QUANTIZER_DOMAINS,
    Quantizer,
    is_quantizer,
    linear_quantizer,
    operand_quantizer,
    quantizer_params,
)

_CONVOLUTIONS = ("Conv", "QLinearConv", "ConvInteger")


def read_layer(model: OnnxModel, node: Node) -> Layer | None:
    """The layer whose last node is `node`, apart from an Add of the bias; None where it is no such operator.

    Raises:
        ModelError: it is one of a form that the surgery does not know, or the file is damaged.
    """
    integer = _dynamic_product(model, node)
    if integer is not None:
        return _read_dynamic(model, node, *integer)
    read = _READERS.get(node.op)
    return read(model, node) if read is not None and node.domain in QUANTIZER_DOMAINS else None


def _read_float(model: OnnxModel, node: Node) -> Layer:
    transposed = node.op == "Conv" or (node.op == "Gemm" and _check_gemm(node))
    if node.op == "Conv":
        _check_kernel(node)
    bias = read_parameter(model, node, 2) if node.op != "MatMul" and node.input(2) else None
    embedding, quantizer = _float_embedding(model, node)
    weights = read_parameter(model, node, 1)
    return Layer(node, embedding, quantizer, weights, transposed, bias, None, node.op == "Conv")


def _read_qgemm(model: OnnxModel, node: Node) -> Layer:
    transposed = _check_gemm(node)
    return _read_operands(model, node, transposed=transposed, result=7 if node.input(7) else None, bias=6)


def _read_qlinear(model: OnnxModel, node: Node) -> Layer:
    if node.op == "QLinearConv":
        _check_kernel(node)
    return _read_operands(model, node, transposed=node.op == "QLinearConv", result=6, bias=8)


def _read_operands(model: OnnxModel, node: Node, *, transposed: bool, result: int | None, bias: int) -> Layer:
    """Of an operator on codes: embedding, weights and result come with their scale and zero point behind them."""
    embedding = operand_quantizer(node, 1)
    weights = read_codes(model, node, 3, operand_quantizer(node, 4, 0 if transposed else 1))
    assert weights.params is not None
    implied: Parameter | None = None
    if node.input(bias):
        params = replace(weights.params, axis=None if weights.params.axis is None else 0)
        scales = bias_params(_only_scale(model, node, embedding), params)
        implied = read_implied_bias(model, node, bias, scales)
    return Layer(
        node,
        node.input(0),
        embedding,
        weights,
        transposed,
        implied,
        None if result is None else operand_quantizer(node, result),
        node.op in _CONVOLUTIONS,
    )


def _dynamic_product(model: OnnxModel, node: Node) -> tuple[Node, Node, int] | None:
    """Of Mul(Cast(MatMulInteger(codes, weights)), Mul(scale of the codes, scale of the weights)): the integer
    operator, the inner Mul and the index of the weights' scale there."""
    if node.op != "Mul" or len(node.inputs) != 2:
        return None
    makers = [model.producers.get(name) for name in node.inputs]
    for cast, scales in (makers, makers[::-1]):
        if cast is None or scales is None or cast.op != "Cast" or scales.op != "Mul" or len(scales.inputs) != 2:
            continue
        integer = model.producers.get(cast.input(0))
        constants = [i for i, name in enumerate(scales.inputs) if name in model.constants]
        if integer is not None and integer.op in ("MatMulInteger", "ConvInteger") and len(constants) == 1:
            return integer, scales, constants[0]
    return None


def _read_dynamic(model: OnnxModel, node: Node, integer: Node, scales: Node, index: int) -> Layer:
    quantize = model.producers.get(integer.input(0))
    if (
        quantize is None
        or quantize.op != "DynamicQuantizeLinear"
        or quantize.outputs[1:2] != (scales.inputs[1 - index],)
    ):
        raise ModelError(
            f"{node.describe()} scales {integer.describe()} by something else than its embedding's scale; "
            "edge_cnn knows what ONNX Runtime's quantize_dynamic writes"
        )
    convolution = integer.op == "ConvInteger"
    if convolution:
        _check_kernel(integer)
    quantizer = Quantizer(integer, (scales, index), (integer, 3), 0 if convolution else 1)
    weights = read_codes(model, integer, 1, quantizer)
    return Layer(integer, quantize.input(0), None, weights, convolution, None, None, convolution)


def _float_embedding(model: OnnxModel, node: Node) -> tuple[str, Quantizer | None]:
    name = node.input(0)
    producer = model.producers.get(name)
    if producer is None or producer.op != DEQUANTIZE or not is_quantizer(producer):
        return name, None
    quantizer = linear_quantizer(producer)
    _only_scale(model, node, quantizer)
    return producer.input(0), quantizer


def _only_scale(model: OnnxModel, node: Node, quantizer: Quantizer) -> float:
    params = quantizer_params(model, quantizer)
    if len(params.scales) != 1:
        raise ModelError(f"{node.describe()} reads an embedding with several scales; quantize activations per tensor")
    return params.scale


def _check_gemm(node: Node) -> bool:
    """Whether the weights are (classes, features)."""
    wanted = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    wrong = {k: node.attributes[k] for k, v in wanted.items() if node.attributes.get(k, v) != v}
    if wrong:
        raise ModelError(f"{node.describe()} has {wrong}; edge_cnn knows a Gemm with alpha = beta = 1 and transA = 0")
    return bool(node.attributes.get("transB", 0))


def _check_kernel(node: Node) -> None:
    pads = node.attributes.get("pads", 0)
    padded = any(pads) if isinstance(pads, tuple) else bool(pads)
    if node.attributes.get("group", 1) != 1 or padded:
        raise NoHeadError(
            f"the graph ends with {node.describe()}, which is grouped or padded; fine-tuning needs a model that ends "
            "with a fully-connected layer or a plain 1x1 convolution"
        )


_READERS: dict[str, Callable[[OnnxModel, Node], Layer]] = {
    "Gemm": _read_float,
    "MatMul": _read_float,
    "Conv": _read_float,
    "QGemm": _read_qgemm,
    "QLinearMatMul": _read_qlinear,
    "QLinearConv": _read_qlinear,
}
