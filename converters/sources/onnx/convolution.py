"""Conv: dense, grouped and depthwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.sources.onnx.node import Node
from converters.sources.onnx.value import CHANNELS_LAST, Value, arranged
from converters.sources.onnx.window import Window, read_window


def conv(node: Node) -> Value:
    """Kernel (out, in / groups, height, width) -> (height, width, in / groups, out)."""
    tf, value, kernel = node.tf, node.value, node.needed(1)
    if value.rank != 4 or kernel.ndim != 4:
        raise ValueError(f"a convolution over {value.rank - 2} axes; images have 2")
    window = read_window(node, kernel.shape[2:])
    tensor, padding = _padded(tf, arranged(tf, value, CHANNELS_LAST), window)
    groups, channels = int(node.attributes.get("group", 1)), value.sizes[0]
    if channels != kernel.shape[1] * groups or kernel.shape[0] % groups:
        raise ValueError(f"{groups} groups and a kernel of shape {kernel.shape} meet {channels} channels")
    weights = kernel.transpose(2, 3, 1, 0)
    if groups == 1:
        result = _convolve(tf, tensor, weights, window, padding)
    elif groups == channels:
        # Output channel c * multiplier + m reads input channel c in both.
        weights = weights.reshape(*kernel.shape[2:], channels, -1)
        result = _depthwise(tf, tensor, weights, window, padding)
    else:
        # Only some kernels know groups: several convolutions side by side run everywhere.
        parts = zip(tf.split(tensor, groups, axis=3), np.split(weights, groups, axis=3), strict=True)
        result = tf.concat([_convolve(tf, part, piece, window, padding) for part, piece in parts], axis=3)
    bias = node.constant(2)
    return Value(result if bias is None else tf.nn.bias_add(result, bias), CHANNELS_LAST)


def _padded(tf: Any, tensor: Any, window: Window) -> tuple[Any, str]:
    if not any(window.before + window.after):
        return tensor, "VALID"
    if window.is_same(tensor.shape[1:3]):
        return tensor, "SAME"
    return tf.pad(tensor, window.paddings), "VALID"


def _convolve(tf: Any, tensor: Any, weights: Any, window: Window, padding: str) -> Any:
    return tf.nn.conv2d(tensor, weights, window.strides, padding, dilations=window.dilations)


def _depthwise(tf: Any, tensor: Any, weights: Any, window: Window, padding: str) -> Any:
    down, right = window.strides
    if down == right:
        return tf.nn.depthwise_conv2d(tensor, weights, (1, down, right, 1), padding, dilations=window.dilations)
    # TensorFlow's kernel wants equal strides: take the larger share of rows and columns of stride 1 away afterwards.
    if padding == "SAME":
        tensor = tf.pad(tensor, window.paddings)
    dense = tf.nn.depthwise_conv2d(tensor, weights, (1, 1, 1, 1), "VALID", dilations=window.dilations)
    return dense[:, ::down, ::right, :]
