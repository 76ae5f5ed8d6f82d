"""How far rounding to int8 moves a network's weights, on the scale of its loss surface."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_cnn.host.landscape.directions import filter_axes


def rounding_step(model: Any) -> float:
    """The length by which symmetric int8 weights, one scale a filter, differ from the filter's own, by its length.

    The median over all filters of convolutions and fully-connected layers; the other weights are not rounded to int8.

    Args:
        model: `keras.Model` with at least one of them.
    """
    steps = []
    for value, axes in zip(model.get_weights(), filter_axes(model), strict=True):
        if axes is None:
            continue
        scale = np.maximum(np.abs(value).max(axis=axes, keepdims=True), 1e-30) / 127
        gap = np.rint(value / scale) * scale - value
        lengths = [np.sqrt(np.sum(part**2.0, axis=axes)) for part in (gap, value)]
        steps.append((lengths[0] / np.maximum(lengths[1], 1e-30)).ravel())
    return float(np.median(np.concatenate(steps)))
