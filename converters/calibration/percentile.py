"""The range that holds a share of the activations; what lies beyond saturates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from converters.calibration.range_estimator import Range
from converters.calibration.streaming_histogram import StreamingHistogram

DEFAULT = 99.99


class Percentile:
    """The central `percent` of the activations, half of the rest cut off at each end (as ONNX Runtime does).

    The ends are edges of bins outside the exact order statistics, by less than 1/4095 of the range (see
    `StreamingHistogram`), and never beyond the extremes: what a ReLU made keeps low = 0. Where so much is zero that the
    share holds nothing else, the extremes stay.

    Args:
        percent: of the activations, in (0, 100]; 99.99 keeps one of 10,000 out.
    """

    def __init__(self, percent: float = DEFAULT) -> None:
        self._cut = (1 - percent / 100) / 2
        self._histogram = StreamingHistogram()

    def update(self, values: NDArray[np.float32], /) -> None:
        self._histogram.update(values)

    def range(self) -> Range:
        histogram = self._histogram
        total = histogram.total
        if not total:
            return histogram.range
        # How many are cut off at each end; 0.05 % of 200,000 is 100, also in floats.
        below = math.floor(round(self._cut * total, 6))
        reached = np.cumsum(histogram.counts)
        edges = histogram.edges
        # The values of rank below + 1 from either end are the outermost ones that stay.
        low = float(edges[np.searchsorted(reached, below + 1)])
        high = float(edges[np.searchsorted(reached, total - below) + 1])
        low, high = max(min(low, 0.0), histogram.low), min(max(high, 0.0), histogram.high)
        holds_more_than_zero = high - low > histogram.width
        return (low, high) if holds_more_than_zero else histogram.range
