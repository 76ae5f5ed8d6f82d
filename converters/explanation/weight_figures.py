"""Figures of a layer's weights that several causes go by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.explanation.layer_facts import LayerFacts


def changed_weights(layer: LayerFacts) -> NDArray[np.bool_] | None:
    """Weights that differ by more than rounding, and not because the largest code is too small for them."""
    error, quantized = layer.weight_error, layer.quantized
    if error is None or layer.weights is None or quantized is None:
        return None
    if quantized.weights is None:
        return np.abs(error) > 0.01 * np.abs(layer.weights).max()
    codes = quantized.weights.codes.astype(np.int64)
    at_an_end = np.abs(codes) >= (7 if quantized.weights.bits == 4 else 127)
    cut = at_an_end & (np.sign(codes) == np.sign(layer.weights)) & (np.sign(error) == -np.sign(layer.weights))
    return (np.abs(error) > 1.5 * quantized.weights.steps()) & ~cut


def weight_noise(layer: LayerFacts) -> str:
    """How well rounding kept the weights, for a person."""
    return f"the median channel's weights keep {median(layer.weight_sqnr_db):.0f} dB"


def median(values: NDArray[np.float64] | None) -> float:
    """Infinite where there are no values."""
    return float(np.median(values)) if values is not None and len(values) else float("inf")


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of two arrays of one shape, 0 where one is nothing but zeros."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size > 0 else 0.0
