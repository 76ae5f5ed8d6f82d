"""Operators that treat every element alike, and BatchNormalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converters.sources.onnx.node import Node
from converters.sources.onnx.value import Value, arranged, in_onnx_order, plain, stored_constant


def unary(name: str, *, is_nonnegative: bool = False) -> Callable[[Node], Value]:
    """An operator that is `name`, for example "nn.relu", in TensorFlow."""

    def apply(node: Node) -> Value:
        function: Any = node.tf
        for part in name.split("."):
            function = getattr(function, part)
        return node.value.with_tensor(function(node.value.tensor), is_nonnegative=is_nonnegative)

    return apply


def same(node: Node) -> Value:
    """Identity, Dropout after training, Cast between kinds of float."""
    return node.value


def binary(name: str) -> Callable[[Node], Value]:
    """An operator on two inputs, at most one of them constant, that is `name` in TensorFlow."""

    def apply(node: Node) -> Value:
        function = getattr(node.tf, name)
        left, right = node.inputs
        if not isinstance(left, Value):
            value = node.activation(1)
            return value.with_tensor(function(stored_constant(value, node.needed(0)), value.tensor))
        if not isinstance(right, Value):
            return left.with_tensor(function(left.tensor, stored_constant(left, node.needed(1))))
        return _of_two(node, function, left, right)

    return apply


def _of_two(node: Node, function: Any, left: Value, right: Value) -> Value:
    if left.rank != right.rank:
        raise ValueError(f"activations of {left.rank} and {right.rank} axes meet")
    if left.columns is not None or right.columns is not None:
        if left.columns is not None and right.columns is not None and (left.columns == right.columns).all():
            return left.with_tensor(function(left.tensor, right.tensor))
        return plain(function(in_onnx_order(node.tf, left), in_onnx_order(node.tf, right)))
    # The larger one stays as it is: a scale a channel has axes of size 1, which move for nothing.
    axes = left.axes if np.prod(left.sizes) >= np.prod(right.sizes) else right.axes
    return Value(function(arranged(node.tf, left, axes), arranged(node.tf, right, axes)), axes)


def clip(node: Node) -> Value:
    """Bounds in attributes (opset 6) or inputs (opset 11); 0..6 is TensorFlow's relu6."""
    tf, value = node.tf, node.value
    low, high = (_scalar(node, i, key) for i, key in ((1, "min"), (2, "max")))
    result = value.tensor
    if (low, high) == (0.0, 6.0):
        result = tf.nn.relu6(result)
    else:
        if low is not None:
            result = tf.nn.relu(result) if low == 0.0 else tf.maximum(result, np.float32(low))
        if high is not None:
            result = tf.minimum(result, np.float32(high))
    floor = -np.inf if low is None else low
    return value.with_tensor(result, is_nonnegative=floor >= 0 and (high is None or high >= 0))


def _scalar(node: Node, position: int, name: str) -> float | None:
    found = node.attributes.get(name)
    if found is None:
        constant = node.constant(position)
        found = None if constant is None else constant.reshape(()).item()
    # The smallest and the largest float32 are how old files say that there is no bound.
    return None if found is None or abs(found) > 3e38 else float(found)


def leaky_relu(node: Node) -> Value:
    """Below 0 alpha * x."""
    slope = float(node.attributes.get("alpha", 0.01))
    return node.value.with_tensor(node.tf.nn.leaky_relu(node.value.tensor, slope))


def prelu(node: Node) -> Value:
    """Below 0 slope * x, in the form that the TFLite converter knows as PRELU."""
    tf, value = node.tf, node.value
    slope = stored_constant(value, node.needed(1)[None] if node.needed(1).ndim == value.rank - 1 else node.needed(1))
    return value.with_tensor(tf.nn.relu(value.tensor) + (-slope) * tf.nn.relu(-value.tensor))


def elu(node: Node) -> Value:
    """Below 0 alpha * (exp(x) - 1)."""
    tf, tensor = node.tf, node.value.tensor
    alpha = float(node.attributes.get("alpha", 1.0))
    if alpha == 1.0:
        return node.value.with_tensor(tf.nn.elu(tensor))
    return node.value.with_tensor(tf.nn.relu(tensor) + np.float32(alpha) * (tf.exp(tf.minimum(tensor, 0.0)) - 1.0))


def hard_sigmoid(node: Node) -> Value:
    """alpha * x + beta within 0..1, as relu6(6 alpha x + 6 beta) / 6: relu6 is fused into the layer before."""
    alpha, beta = (float(node.attributes.get(key, default)) for key, default in (("alpha", 0.2), ("beta", 0.5)))
    tensor = node.value.tensor
    inner = tensor if abs(alpha - 1 / 6) < 1e-6 else tensor * np.float32(6 * alpha)
    result = node.tf.nn.relu6(inner + np.float32(6 * beta)) * np.float32(1 / 6)
    return node.value.with_tensor(result, is_nonnegative=True)


def hard_swish(node: Node) -> Value:
    """x * hard_sigmoid(x)."""
    tensor = node.value.tensor
    return node.value.with_tensor(tensor * node.tf.nn.relu6(tensor + 3.0) * np.float32(1 / 6))


def gelu(node: Node) -> Value:
    """Exact, or with tanh where the file says so."""
    approximate = node.attributes.get("approximate", b"none") in (b"tanh", "tanh")
    return node.value.with_tensor(node.tf.nn.gelu(node.value.tensor, approximate))


def softmax(node: Node) -> Value:
    """Softmax."""
    return _softmax(node, node.tf.nn.softmax, is_nonnegative=True)


def log_softmax(node: Node) -> Value:
    """LogSoftmax."""
    return _softmax(node, node.tf.nn.log_softmax, is_nonnegative=False)


def _softmax(node: Node, function: Any, *, is_nonnegative: bool) -> Value:
    value = node.value
    axis = node.axis(-1 if node.opset >= 13 else 1)
    # Before opset 13 it ran over all axes from this one on.
    if node.opset < 13 and np.prod(value.sizes[axis:]) != 1:
        raise ValueError(f"opset {node.opset} means it over all axes from {axis} on, here of sizes {value.sizes}")
    place = value.axes[axis]
    if place == value.rank - 1:
        return value.with_tensor(function(value.tensor), is_nonnegative=is_nonnegative)
    axes = tuple(i if i < axis else value.rank - 1 if i == axis else i - 1 for i in range(value.rank))
    return Value(function(arranged(node.tf, value, axes)), axes, is_nonnegative=is_nonnegative)


def batch_normalization(node: Node) -> Value:
    """As a scale and an offset a channel, which the converters fold into the layer before."""
    value = node.value
    scale, offset, mean, variance = (node.needed(i).astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    shape = (1, -1) + (1,) * (value.rank - 2)
    shift = (offset - mean * factor).astype(np.float32).reshape(shape)
    factors = factor.astype(np.float32).reshape(shape)
    return value.with_tensor(value.tensor * stored_constant(value, factors) + stored_constant(value, shift))
