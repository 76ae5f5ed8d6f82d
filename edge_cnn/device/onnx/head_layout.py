"""The last layer of an ONNX classifier as a value: which nodes compute it, which constants hold it.

    embedding -> layer [-> product quantizers -> Add] -> logit quantizers -> Reshape, Softmax, ... -> output

The layer is a Gemm, a MatMul or a 1x1 Conv: on floats, on floats between Q and DQ (QDQ), on codes (QOperator: QGemm,
QLinearMatMul, QLinearConv), or on embeddings that are quantized as they come (MatMulInteger, ConvInteger).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.parameter import Parameter
from edge_cnn.device.onnx.quantizer import Quantizer


@dataclass(frozen=True)
class Layer:
    """The operator of the last layer with what it reads and writes.

    Attributes:
        node: the operator.
        embedding: name of the tensor that it reads: codes where `embedding_quantizer` is set.
        embedding_quantizer: of the embedding, None for a float one.
        weights: constant, stored (classes, features[, 1, 1]) if `transposed`, else (features, classes).
        bias: None where the operator takes none.
        result_quantizer: of what it writes, None where that is floats.
        is_convolution: the tensors have two more dimensions of size 1.
    """

    node: Node
    embedding: str
    embedding_quantizer: Quantizer | None
    weights: Parameter
    transposed: bool
    bias: Parameter | None
    result_quantizer: Quantizer | None
    is_convolution: bool

    @property
    def class_axis(self) -> int:
        return 0 if self.transposed else 1

    @property
    def classes(self) -> int:
        return self.weights.tensor.dims[self.class_axis]

    @property
    def features(self) -> int:
        return math.prod(self.weights.tensor.dims) // self.classes


@dataclass(frozen=True)
class HeadLayout:
    """The last layer as it stands in the graph.

    Attributes:
        layer: the operator with its weights.
        bias: the operator's own or that of an Add behind it; None for a layer without one.
        products: quantizers between a layer and its Add.
        result: name of the tensor that the layer, bias included, writes.
        result_quantizer: of `result`, None where that is floats.
        logits: quantizers behind the layer up to the softmax or the output, that of the result included; all of the
            same values.
        logits_codes: name of the first tensor of codes among those, None where there is none.
        tail: nodes from the layer to the graph's output, in this order.
    """

    layer: Layer
    bias: Parameter | None
    products: tuple[Quantizer, ...]
    result: str
    result_quantizer: Quantizer | None
    logits: tuple[Quantizer, ...]
    logits_codes: str | None
    tail: tuple[Node, ...]
