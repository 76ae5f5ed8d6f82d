"""Integer parameters for a new head, in the granularity and types that the file already has.

Weights are symmetric (Jacob et al. 2018, section 3; TFLite 8-bit specification: zero point 0, range [-127, 127]),
the bias is int32 with scale embedding scale x weight scale, the logits are affine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.quantization import QuantizationParams, quantize

LOGITS_MARGIN = 0.1
"""Share by which the range of the logits is widened: data on the device goes beyond what fine-tuning saw."""

LEAST_RANGE = 0.01
"""Smallest difference between the largest and the smallest logit that is provided for."""

BIAS_LIMIT = 2**30
"""Largest code of an int32 bias: kernels add the products to it in 32 bits."""

SMALLEST_NORMAL = 2.0**-126
"""Of float32. Not from np.finfo, which computes with subnormals and warns where a runtime has made the processor flush
them to zero, as tflite-runtime's wheels for ARM do when they are imported."""

FLOAT_FLOOR = -1e4
"""Bias of a class that is not taught yet: no logit of a real network is lower, and float16 holds it."""

LOGITS_FLOOR = -8.0
"""Centred logits sum to 0, so the best one is never negative and what lies under the floor is e^8 times less likely:
the codes that such values would take are better spent on the classes that compete."""


def relevant_range(logits: NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest of the centred logits (n, classes) that are worth codes of their own."""
    return max(float(logits.min()), LOGITS_FLOOR), float(logits.max())


def quantize_weights(
    weights: NDArray[Any],
    per_channel: bool,
    dtype: np.dtype[Any],
    least_scales: NDArray[Any] | None = None,
    *,
    limit: int | None = None,
) -> tuple[NDArray[Any], QuantizationParams]:
    """Weights (classes, features) -> codes of the same shape, and params with axis 0 if `per_channel`.

    Args:
        weights: real values (classes, features).
        per_channel: one scale a class instead of one for all.
        dtype: signed integer type of the codes.
        least_scales: (classes,), what the scale of each class must not go below: a class whose weights are nearly 0
            would get a scale so fine that its int32 bias does not fit.
        limit: largest code, that of `dtype` if None.
    """
    limit = limit or min(int(np.iinfo(dtype).max), 2**15 - 1)
    peaks = np.abs(weights).max(axis=1) if per_channel else np.abs(weights).max(keepdims=True).reshape(1)
    # A class with all weights 0 still needs a positive scale.
    scales = np.maximum(peaks / limit, SMALLEST_NORMAL * 2**20)
    if least_scales is not None:
        scales = np.maximum(scales, least_scales if per_channel else least_scales.max())
    scales = scales.astype(np.float32)
    params = QuantizationParams(tuple(float(s) for s in scales), (0,) * len(scales), axis=0 if per_channel else None)
    codes = np.clip(quantize(weights.astype(np.float64), params, np.dtype(np.int32)), -limit, limit).astype(dtype)
    return codes, params


def bias_params(embedding_scale: float, weights: QuantizationParams) -> QuantizationParams:
    """Scale of the int32 bias: embedding scale x weight scale, zero point 0."""
    scales = np.float32(embedding_scale) * np.asarray(weights.scales, np.float32)
    return QuantizationParams(tuple(float(s) for s in scales), (0,) * len(scales), weights.axis)


def logits_params(low: float, high: float, dtype: np.dtype[Any], *, symmetric: bool) -> QuantizationParams:
    """Affine parameters for logits between `low` and `high`, widened by `LOGITS_MARGIN` and to include 0.

    Args:
        symmetric: keep the zero point 0, as TensorRT's explicit quantization asks.
    """
    limits = np.iinfo(dtype)
    # Softmax kernels abort on scales near 0, and logits that close are all the same anyway.
    high = max(high, low + LEAST_RANGE)
    margin = LOGITS_MARGIN * (high - low)
    low, high = min(low - margin, 0.0), max(high + margin, 0.0)
    if symmetric:
        return QuantizationParams((float(np.float32(max(-low, high) / limits.max)),), (0,))
    scale = float(np.float32((high - low) / (int(limits.max) - int(limits.min))))
    zero_point = int(np.clip(round(int(limits.min) - low / scale), limits.min, limits.max))
    return QuantizationParams((scale,), (zero_point,))
