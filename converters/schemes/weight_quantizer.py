"""Float weights -> integer codes: symmetric, zero point 0, the scale set by the largest weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import Layer

INT8_LIMIT = 127
"""Largest code; the smallest is its negative, so that no product of two lowest codes stands out (TFLite 8-bit
specification)."""

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Of a channel whose weights are all 0: any scale says so, and 0 would divide."""


@dataclass(frozen=True)
class QuantizedWeights:
    """Codes and what one step is worth.

    Attributes:
        codes: int8, of the weights' shape, in [-limit, limit].
        scales: float32 (channels,), or (1,) of one scale for all.
        axis: that the channels run along; 0 of one scale for all.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    axis: int

    def floats(self) -> NDArray[np.float32]:
        """The weights that the codes stand for."""
        return (self.codes * _along(self.scales, self.codes.ndim, self.axis)).astype(np.float32)


def quantize_weights(weights: NDArray[np.float32], axis: int | None, limit: int) -> QuantizedWeights:
    """Round weights to `scale * code`, scale = max|weight| / limit.

    Weights that are multiples of such a scale already, as fake quantization leaves them, keep their codes exactly.

    Args:
        weights: float32, any shape.
        axis: one scale for each index of this axis; None for one for all.
        limit: `INT8_LIMIT`, or `INT4_LIMIT` of `edge_cnn.device.tflite.int4_codes`.
    """
    others = None if axis is None else tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    largest = np.atleast_1d(np.abs(weights).max(axis=others)).astype(np.float64)
    scales = np.maximum(largest / limit, _SMALLEST_SCALE).astype(np.float32)
    along = 0 if axis is None else axis % weights.ndim
    # In float32, by the inverse, half away from zero: the very codes of the TFLite converter.
    steps = weights * _along(np.float32(1) / scales, weights.ndim, along)
    codes = np.trunc(steps + np.copysign(np.float32(0.5), steps))
    return QuantizedWeights(np.clip(codes, -limit, limit).astype(np.int8), scales, along)


def scale_axis(layer: Layer, *, dense_per_channel: bool) -> int | None:
    """The axis of a layer's scales, None for one scale."""
    if layer.operator.op == "FULLY_CONNECTED" and not dense_per_channel:
        return None
    return layer.channel_axis


def _along(scales: NDArray[np.floating], dimensions: int, axis: int) -> NDArray[np.floating]:
    if scales.size == 1:
        return scales.reshape(-1)[0]
    shape = [1] * dimensions
    shape[axis] = scales.size
    return scales.reshape(shape)
