"""MaxPool, AveragePool and the means over whole axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.sources.onnx.node import Node
from converters.sources.onnx.value import CHANNELS_LAST, Value, arranged, in_onnx_order, plain
from converters.sources.onnx.window import Window, read_window


def max_pool(node: Node) -> Value:
    """Padding never wins: 0 under values that are not negative, else the mirrored border, which the window sees too."""
    tf, value = node.tf, _image(node)
    if node.outputs > 1:
        raise ValueError("the places of the maxima are read")
    window = read_window(node)
    tensor, padding = arranged(tf, value, CHANNELS_LAST), "VALID"
    if any(window.before + window.after):
        if window.is_same(tensor.shape[1:3]):
            padding = "SAME"
        else:
            tensor = _padded_for_maximum(tf, tensor, window, is_nonnegative=value.is_nonnegative)
    if window.dilations == (1, 1):
        pooled = tf.nn.max_pool2d(tensor, window.size, window.strides, padding)
    else:
        pooled = tf.nn.pool(tensor, window.size, "MAX", window.strides, padding, dilations=window.dilations)
    return Value(pooled, CHANNELS_LAST, is_nonnegative=value.is_nonnegative)


def _padded_for_maximum(tf: Any, tensor: Any, window: Window, *, is_nonnegative: bool) -> Any:
    if is_nonnegative:
        return tf.pad(tensor, window.paddings)
    pads = tuple(map(max, window.before, window.after))
    # A window at least twice as wide as the padding, and p pixels beyond the border, sees the p pixels before it.
    if window.dilations == (1, 1) and all(2 * pad <= size for pad, size in zip(pads, window.size, strict=True)):
        return tf.pad(tensor, window.paddings, "SYMMETRIC")
    return tf.pad(tensor, window.paddings, constant_values=tensor.dtype.min)


def average_pool(node: Node) -> Value:
    """TensorFlow's SAME leaves padding out of the mean; where that is not what is asked for, shares put it right."""
    tf, value = node.tf, _image(node)
    window = read_window(node)
    if window.dilations != (1, 1):
        raise ValueError(f"dilations {window.dilations}")
    tensor = arranged(tf, value, CHANNELS_LAST)
    counts_padding = bool(node.attributes.get("count_include_pad", 0))
    if not counts_padding and window.is_same(tensor.shape[1:3]):
        pooled = tf.nn.avg_pool2d(tensor, window.size, window.strides, "SAME")
        return Value(pooled, CHANNELS_LAST, is_nonnegative=value.is_nonnegative)
    if any(window.before + window.after):
        tensor = tf.pad(tensor, window.paddings)
    pooled = tf.nn.avg_pool2d(tensor, window.size, window.strides, "VALID")
    factors = _factors(window, value.sizes[1:], counts_padding=counts_padding)
    if (factors != 1).any():
        pooled *= factors[:, :, None]
    return Value(pooled, CHANNELS_LAST, is_nonnegative=value.is_nonnegative)


def _factors(window: Window, image: tuple[int, ...], *, counts_padding: bool) -> np.ndarray:
    """Elements in a whole window over elements that count, for every place of the window."""
    shares: list[np.ndarray] = []
    for i in range(2):
        length = window.before[i] + image[i] + window.after[i]
        counts = np.zeros(length)
        first, last = window.before[i], window.before[i] + image[i]
        if counts_padding:
            first, last = 0, length - window.beyond[i]
        counts[first:last] = 1
        places = range(0, length - window.size[i] + 1, window.strides[i])
        shares.append(np.array([window.size[i] / counts[at : at + window.size[i]].sum() for at in places]))
    return np.outer(*shares).astype(np.float32)


def global_average_pool(node: Node) -> Value:
    """The mean over all axes but batch and channels, which stay with size 1."""
    return _reduced(node, node.tf.reduce_mean, range(2, node.value.rank), keep=True)


def global_max_pool(node: Node) -> Value:
    """As `global_average_pool` with the maximum."""
    return _reduced(node, node.tf.reduce_max, range(2, node.value.rank), keep=True)


def reduce_mean(node: Node) -> Value:
    """ReduceMean."""
    return _reduce(node, node.tf.reduce_mean)


def reduce_max(node: Node) -> Value:
    """ReduceMax."""
    return _reduce(node, node.tf.reduce_max)


def reduce_sum(node: Node) -> Value:
    """ReduceSum."""
    return _reduce(node, node.tf.reduce_sum)


def _reduce(node: Node, reducer: Any) -> Value:
    axes = node.integers("axes", 1)
    if not axes:
        raise ValueError("it reduces all axes with the batch among them")
    rank = node.value.rank
    return _reduced(
        node, reducer, [node.own_axis(axis, rank) for axis in axes], keep=bool(node.attributes.get("keepdims", 1))
    )


def _reduced(node: Node, reducer: Any, axes: Any, *, keep: bool) -> Value:
    value, axes = node.value, set(axes)
    if value.columns is not None:
        return plain(reducer(in_onnx_order(node.tf, value), sorted(axes), keepdims=keep))
    tensor = reducer(value.tensor, [value.axes[axis] for axis in sorted(axes)], keepdims=keep)
    if keep:
        return Value(tensor, value.axes, is_nonnegative=value.is_nonnegative)
    left = [place for axis, place in enumerate(value.axes) if axis not in axes]
    return Value(tensor, tuple(sorted(left).index(place) for place in left), is_nonnegative=value.is_nonnegative)


def _image(node: Node) -> Value:
    if node.value.rank != 4:
        raise ValueError(f"a pooling over {node.value.rank - 2} axes; images have 2")
    return node.value
