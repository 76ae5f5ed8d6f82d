"""The range with the least mean squared error between activations and what their codes stand for.

Narrower than the extremes, it trades the clipping of few large values for a finer step of all others (Banner et al.
2019, "Post training 4-bit quantization of convolutional networks", section 3; here searched, not by a formula for one
distribution).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.range_estimator import Range
from converters.calibration.streaming_histogram import StreamingHistogram

_COARSE = 2.0 ** (-np.arange(41) / 4)
"""Shares of the extremes to begin with, 1 to 1/1024."""
_ROUNDS = 3
_FINE = 15


class Mse:
    """Search of the clipping thresholds that minimize the quantization error, over a histogram.

    Args:
        bits: of a code.
        symmetric: zero point 0 and as many steps below as above; otherwise a range of its own at either side.
    """

    def __init__(self, bits: int = 8, *, symmetric: bool = False) -> None:
        self._bits, self._symmetric = bits, symmetric
        self._histogram = StreamingHistogram()

    def update(self, values: NDArray[np.float32], /) -> None:
        self._histogram.update(values)

    def range(self) -> Range:
        low, high = self._histogram.range
        seen = _Seen(self._histogram)
        if low == high:
            return low, high
        if self._symmetric:
            top = max(-low, high)

            def of_threshold(shares: NDArray[np.float64]) -> NDArray[np.float64]:
                return _symmetric_error(seen, shares * top, self._bits)

            threshold = _search(of_threshold) * top
            return max(low, -threshold), min(high, threshold)

        def of_ends(below: NDArray[np.float64], above: NDArray[np.float64]) -> NDArray[np.float64]:
            return _asymmetric_error(seen, below * low, above * high, self._bits)

        # Both ends together first, then each in turn: the error is smooth in both but for the rounding.
        below = above = _search(lambda shares: of_ends(shares, shares))
        for _ in range(_ROUNDS):
            if low < 0:
                below = _search(lambda shares, above=above: of_ends(shares, np.full_like(shares, above)), below)
            if high > 0:
                above = _search(lambda shares, below=below: of_ends(np.full_like(shares, below), shares), above)
            if low == 0 or high == 0:
                break
        return below * low, above * high


@dataclass(frozen=True)
class _Seen:
    """The bins that are not empty."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]
    width: float

    def __init__(self, histogram: StreamingHistogram) -> None:
        filled = np.flatnonzero(histogram.counts)
        object.__setattr__(self, "values", histogram.centres[filled])
        object.__setattr__(self, "counts", histogram.counts[filled])
        object.__setattr__(self, "width", histogram.width)


def _search(error_of: Any, known: float | None = None) -> float:
    """The share of the extreme, in (0, 1], with the least error: coarse, then finer between the neighbours."""
    shares = _COARSE if known is None else np.append(_COARSE, known)
    ratio = 2.0**0.25
    best, least = 1.0, np.inf
    for _ in range(_ROUNDS):
        errors = error_of(shares)
        if errors.min() < least:
            best, least = float(shares[errors.argmin()]), float(errors.min())
        shares = np.minimum(best * np.geomspace(1 / ratio, ratio, _FINE), 1.0)
        ratio **= 2 / (_FINE - 1)
    return best


def _asymmetric_error(
    seen: _Seen, low: NDArray[np.float64], high: NDArray[np.float64], bits: int
) -> NDArray[np.float64]:
    """Summed squared error for each of the ranges (candidates,)."""
    last = 2**bits - 1
    step = ((high - low) / last)[:, None]
    zero = np.rint(-low[:, None] / step)
    return _error(seen, step, -zero, last - zero)


def _symmetric_error(seen: _Seen, threshold: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    last = 2 ** (bits - 1) - 1
    step = (threshold / last)[:, None]
    return _error(seen, step, np.full_like(step, -last), np.full_like(step, last))


def _error(
    seen: _Seen, step: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> NDArray[np.float64]:
    steps = np.rint(seen.values / step)
    nearest = np.clip(steps, first, last)
    squared = (nearest * step - seen.values) ** 2
    # Within a bin that is wider than half a step, a centre says nothing of the rounding: there its mean, step^2 / 12.
    blurred = (nearest == steps) & (step < 2 * seen.width) & (np.abs(seen.values) > seen.width)
    return np.where(blurred, step**2 / 12, squared) @ seen.counts.astype(np.float64)
