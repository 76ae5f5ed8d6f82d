"""The range whose quantized distribution tells least from the real one (Migacz 2017, "8-bit Inference with TensorRT").

A threshold on the magnitude is chosen: the histogram up to it, with all beyond counted into its last bin, is the
reference P; the same without what lies beyond, joined to as many groups as there are codes and spread evenly again over
the bins that were not empty, is Q; the threshold with the least Kullback-Leibler divergence of P from Q wins.

As in TensorRT the method is for 8 bits: with few codes it prefers far too narrow ranges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.calibration.range_estimator import Range
from converters.calibration.streaming_histogram import StreamingHistogram

MAX_BINS = 2048
"""Of magnitudes, as in the talk; finer bins are joined in pairs."""
_STRIDE = 16


class Entropy:
    """Kullback-Leibler calibration to 8 bits.

    Where values have both signs, a magnitude has 128 codes, and the range is [-t, t] within the extremes, whatever the
    zero point will be. Where all have one sign (after a ReLU) and the codes are not `symmetric`, all 256 cover it, so
    low stays 0. Zeros, which every zero point represents exactly, do not count: bin 0 is taken to be as full as bin 1,
    since otherwise a ReLU's zeros would outweigh all else.

    Args:
        symmetric: zero point 0, so that one sign has 128 codes in any case.
    """

    def __init__(self, *, symmetric: bool = False) -> None:
        self._symmetric = symmetric
        self._histogram = StreamingHistogram()

    def update(self, values: NDArray[np.float32], /) -> None:
        self._histogram.update(values)

    def range(self) -> Range:
        low, high = self._histogram.range
        magnitudes, width = self._histogram.magnitudes(), self._histogram.width
        while len(magnitudes) > MAX_BINS:
            magnitudes = np.add.reduceat(magnitudes, np.arange(0, len(magnitudes), 2))
            width *= 2
        codes = 256 if low * high == 0 and not self._symmetric else 128
        threshold = best_cut(magnitudes, codes) * width
        return max(low, -threshold), min(high, threshold)


def best_cut(magnitudes: NDArray[np.int64], codes: int) -> int:
    """How many bins the range holds.

    A range ends with a bin that is not empty. Every 16th of those is tried, and then all around the best one.

    Args:
        magnitudes: counts of |x|, int64 (bins,).
        codes: how many a magnitude can have.
    """
    counts = magnitudes.astype(np.float64)
    if len(counts) > 1:
        counts[0] = counts[1]
    cuts = np.flatnonzero(counts) + 1
    cuts = cuts[cuts >= codes]
    if not len(cuts):
        return len(counts)

    def least(places: NDArray[np.intp]) -> int:
        return int(places[np.argmin([divergence(counts, int(cuts[place]), codes) for place in places])])

    best = least(np.append(np.arange(0, len(cuts) - 1, _STRIDE), len(cuts) - 1))
    return int(cuts[least(np.arange(max(0, best - _STRIDE + 1), min(len(cuts), best + _STRIDE)))])


def divergence(counts: NDArray[np.float64], cut: int, codes: int) -> float:
    """D(P || Q) in nats for a range of the first `cut` bins; infinity where Q cannot represent what P holds.

    Args:
        counts: float64 (bins,).
        cut: codes <= cut <= bins.
        codes: how many groups the bins are joined to.
    """
    kept, reference = counts[:cut], counts[:cut].copy()
    reference[-1] += counts[cut:].sum()
    filled = reference > 0
    starts = np.arange(codes) * cut // codes
    sizes = np.diff(starts, append=cut)
    groups = np.add.reduceat(kept, starts)
    members = np.add.reduceat(filled.astype(np.float64), starts)
    spread = np.repeat(groups / np.maximum(members, 1), sizes)
    if not np.all(spread[filled] > 0):
        return np.inf
    p, q = reference[filled] / reference.sum(), spread[filled] / spread[filled].sum()
    return float(np.sum(p * np.log(p / q)))
