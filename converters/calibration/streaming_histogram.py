"""A histogram of values whose range is not known beforehand, in one pass and bounded memory.

Bins are as wide as a power of two and aligned at 0. When a batch does not fit, the bins are joined in pairs, as often
as needed: bin floor(x / w) becomes bin floor(x / 2w), so no count is ever split or guessed, and the result is the same,
bit for bit, as that of one pass over all values with the final width, in whatever order they came.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from converters.calibration.range_estimator import Range, extremes

MAX_BINS = 8192
"""A bin is at most 1/4095 and at least 1/8192 of the range, 0 included: 16 to 32 bins a step of 8-bit codes."""

_MIN_EXPONENT = -100
"""The width of a histogram of zeros; the reciprocal must be a float32."""
_CHUNK = 1 << 16
"""Values binned at once, so that what lies between the steps stays in the cache."""


class StreamingHistogram:
    """Counts of values in bins.

    Attributes:
        counts: int64 (bins,).
        first: number of the first bin; bin i holds i * width <= x < (i + 1) * width.
        low, high: exact extremes of the values and 0.
    """

    def __init__(self, max_bins: int = MAX_BINS) -> None:
        self.counts: NDArray[np.int64] = np.zeros(1, np.int64)
        self.first = 0
        self.low, self.high = 0.0, 0.0
        self._exponent = _MIN_EXPONENT
        self._max_bins = max_bins

    @property
    def width(self) -> float:
        """Of a bin, in the tensor's units: a power of two."""
        return math.ldexp(1.0, self._exponent)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where bins begin, and where the last one ends: float64 (bins + 1,)."""
        return np.arange(self.first, self.first + len(self.counts) + 1, dtype=np.float64) * self.width

    @property
    def centres(self) -> NDArray[np.float64]:
        """float64 (bins,), none outside the extremes."""
        return np.minimum(np.maximum(self.edges[:-1] + self.width / 2, self.low), self.high)

    @property
    def range(self) -> Range:
        """Exact extremes of the values and 0."""
        return self.low, self.high

    def magnitudes(self) -> NDArray[np.int64]:
        """Counts of |x| in bins of the same width that begin at 0: x < 0 in bin -1 has a magnitude of bin 0."""
        below, above = self.counts[: -self.first][::-1], self.counts[-self.first :]
        folded = np.zeros(max(len(below), len(above)), np.int64)
        folded[: len(below)] += below
        folded[: len(above)] += above
        return folded

    def update(self, values: NDArray[np.float32]) -> None:
        """Count more values: float32, any shape.

        Raises:
            ModelError: there is NaN or infinity among them.
        """
        low, high = extremes(values)
        if low < self.low or high > self.high:
            self._widen(min(low, self.low), max(high, self.high))
        # A power of two: the product is exact, so equal values fall into equal bins whatever came before.
        scale = np.float32(math.ldexp(1.0, -self._exponent))
        flat = values.reshape(-1)
        for start in range(0, len(flat), _CHUNK):
            bins = np.floor(flat[start : start + _CHUNK] * scale).astype(np.intp)
            bins -= self.first
            self.counts += np.bincount(bins, minlength=len(self.counts))

    def _widen(self, low: float, high: float) -> None:
        exponent = self._exponent
        while _span(low, high, exponent) > self._max_bins:
            # Doubling as often as the logarithm says, and then one by one, as edges may fall either way.
            exponent += max(1, math.frexp((high - low) / self._max_bins)[1] - 1 - exponent)
        first, last = _ends(low, high, exponent)
        counts = np.zeros(last - first + 1, np.int64)
        joined = (np.arange(len(self.counts)) + self.first) >> (exponent - self._exponent)
        np.add.at(counts, joined - first, self.counts)
        self.counts, self.first, self._exponent = counts, first, exponent
        self.low, self.high = low, high


def _ends(low: float, high: float, exponent: int) -> tuple[int, int]:
    return math.floor(math.ldexp(low, -exponent)), math.floor(math.ldexp(high, -exponent))


def _span(low: float, high: float, exponent: int) -> int:
    first, last = _ends(low, high, exponent)
    return last - first + 1
