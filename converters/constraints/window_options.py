"""Strides, padding and the like of operators that move a window over an image."""

from __future__ import annotations

from dataclasses import dataclass

from edge_cnn.device.tflite.file import Operator
from edge_cnn.device.tflite.schema import (
    ACTIVATIONS,
    CONCATENATION_OPTIONS,
    CONV_2D_OPTIONS,
    DEPTHWISE_CONV_2D_OPTIONS,
    POOL_2D_OPTIONS,
)

# Field positions in the options of the public schema.
_STRIDES = 1, 2
_POOL_SIZE = 3, 4
_DILATIONS = {CONV_2D_OPTIONS: (4, 5), DEPTHWISE_CONV_2D_OPTIONS: (5, 6)}
_ACTIVATION = {CONV_2D_OPTIONS: 3, DEPTHWISE_CONV_2D_OPTIONS: 4, POOL_2D_OPTIONS: 5, CONCATENATION_OPTIONS: 1}
_UNION = {
    "CONV_2D": CONV_2D_OPTIONS,
    "DEPTHWISE_CONV_2D": DEPTHWISE_CONV_2D_OPTIONS,
    "AVERAGE_POOL_2D": POOL_2D_OPTIONS,
    "MAX_POOL_2D": POOL_2D_OPTIONS,
    "L2_POOL_2D": POOL_2D_OPTIONS,
}


@dataclass(frozen=True)
class Window:
    """How an operator moves its window.

    Attributes:
        strides, dilations: (height, width).
        is_padded: the image is padded so that its size is the input's over the stride (SAME).
        pool_size: (height, width) of a pooling's window; None for layers, where it is that of their weights.
    """

    strides: tuple[int, int]
    dilations: tuple[int, int]
    is_padded: bool
    pool_size: tuple[int, int] | None = None


def read_window(operator: Operator) -> Window | None:
    """None for an operator without a window. Raises: ModelError: damaged."""
    union = _UNION.get(operator.name)
    options = operator.options(union) if union else None
    if union is None or options is None:
        return None
    width, height = (options.scalar(i, "<i") for i in _STRIDES)
    dilations = (1, 1)
    if union in _DILATIONS:
        x, y = (options.scalar(i, "<i", 1) for i in _DILATIONS[union])
        dilations = (y, x)
    size = None
    if union == POOL_2D_OPTIONS:
        x, y = (options.scalar(i, "<i") for i in _POOL_SIZE)
        size = y, x
    return Window((height, width), dilations, options.scalar(0, "<b") == 0, size)


def fused_activation(operator: Operator) -> str:
    """Name of the activation that is fused into a window's operator or a CONCATENATION; "NONE" for others."""
    union = CONCATENATION_OPTIONS if operator.name == "CONCATENATION" else _UNION.get(operator.name)
    options = operator.options(union) if union else None
    if union is None or options is None:
        return "NONE"
    code = options.scalar(_ACTIVATION[union], "<b")
    return ACTIVATIONS[code] if 0 <= code < len(ACTIVATIONS) else str(code)
