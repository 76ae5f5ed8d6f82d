"""The operators that a source may have, one function each."""

from __future__ import annotations

from collections.abc import Callable

from converters.sources.onnx import convolution, dense, elementwise, pooling, shapes
from converters.sources.onnx.node import Node
from converters.sources.onnx.value import Value

Operator = Callable[[Node], Value | tuple[Value, ...]]

OPERATORS: dict[str, Operator] = {
    "Abs": elementwise.unary("abs", is_nonnegative=True),
    "Add": elementwise.binary("add"),
    "AveragePool": pooling.average_pool,
    "BatchNormalization": elementwise.batch_normalization,
    "Cast": elementwise.same,
    "Clip": elementwise.clip,
    "Concat": shapes.concat,
    "Conv": convolution.conv,
    "Div": elementwise.binary("divide"),
    "Dropout": elementwise.same,
    "Elu": elementwise.elu,
    "Erf": elementwise.unary("math.erf"),
    "Exp": elementwise.unary("exp", is_nonnegative=True),
    "Flatten": shapes.flatten,
    "Gelu": elementwise.gelu,
    "Gemm": dense.gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": elementwise.hard_swish,
    "Identity": elementwise.same,
    "LeakyRelu": elementwise.leaky_relu,
    "LogSoftmax": elementwise.log_softmax,
    "MatMul": dense.matmul,
    "Max": elementwise.binary("maximum"),
    "MaxPool": pooling.max_pool,
    "Min": elementwise.binary("minimum"),
    "Mul": elementwise.binary("multiply"),
    "Neg": elementwise.unary("negative"),
    "PRelu": elementwise.prelu,
    "Pad": shapes.pad,
    "Pow": elementwise.binary("pow"),
    "ReduceMax": pooling.reduce_max,
    "ReduceMean": pooling.reduce_mean,
    "ReduceSum": pooling.reduce_sum,
    "Relu": elementwise.unary("nn.relu", is_nonnegative=True),
    "Reshape": shapes.reshape,
    "Selu": elementwise.unary("nn.selu"),
    "Sigmoid": elementwise.unary("sigmoid", is_nonnegative=True),
    "Slice": shapes.slice_,
    "Softmax": elementwise.softmax,
    "Softplus": elementwise.unary("nn.softplus", is_nonnegative=True),
    "Split": shapes.split,
    "Sqrt": elementwise.unary("sqrt", is_nonnegative=True),
    "Squeeze": shapes.squeeze,
    "Sub": elementwise.binary("subtract"),
    "Tanh": elementwise.unary("tanh"),
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
"""Of ONNX's own domain. Nodes whose inputs are all constant are computed beforehand, whatever they are."""
