"""Weighted cross-entropy of logits against soft targets, class-major.

For logits a (classes, n), labels y, sample weights w (mean 1) and label smoothing e (Szegedy et al. 2016, section 7):

    L(a) = 1/n sum_i w_i (logsumexp(a_i) - sum_c t_ci a_ci),   t_ci = (1 - e) [c = y_i] + e/C

All arrays are (classes, n): a reduction over few classes is then a sum of long rows, which numpy does six times faster
than many short ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMN_VALUES = 2**17
"""Logits that are worked on at once: temporaries stay below 1 MB."""

FLOAT32 = np.dtype(np.float32)

Logits = NDArray[np.float32]


class CrossEntropy:
    """The loss as a function of the logits alone.

    Args:
        labels: int64 (n,).
        classes: how many.
        weights: float (n,) with mean 1, or None where all are 1.
        smoothing: share of each target that is spread over all classes, in [0, 1).
    """

    def __init__(
        self, labels: NDArray[np.int64], classes: int, weights: NDArray[np.floating] | None, smoothing: float
    ) -> None:
        count = len(labels)
        self.labels, self.classes, self.samples = labels, classes, count
        self._right, self._spread = 1.0 - smoothing, smoothing / classes
        ones = np.ones(count) if weights is None else weights.astype(np.float64)
        # Twice: sums in float32 must not widen, and the bounds that are computed in float64 must not lose digits.
        self._shares = {np.dtype(np.float64): ones / count, FLOAT32: (ones / count).astype(np.float32)}
        self._step = max(COLUMN_VALUES // classes, 1)

    def _columns(self) -> Iterator[slice]:
        for start in range(0, self.samples, self._step):
            yield slice(start, min(start + self._step, self.samples))

    def targets_dot(self, logits: NDArray[np.floating], where: slice) -> NDArray[np.floating]:
        """sum_c t_ci a_ci of the samples at `where`, whose logits these are: (n,)."""
        picked = logits[self.labels[where], np.arange(logits.shape[1])] * self._right
        if self._spread:
            picked += self._spread * logits.sum(axis=0)
        return picked

    def linear(self, logits: Logits) -> float:
        """The part that is linear in the logits: 1/n sum_i w_i sum_c t_ci a_ci."""
        parts = (self.targets_dot(logits[:, where], where) @ self.shares(where) for where in self._columns())
        return float(sum(parts))

    def normalizer(self, logits: Logits, direction: Logits | None, step: float, out: Logits) -> float:
        """1/n sum_i w_i logsumexp of `logits + step * direction`; their softmax is written to `out`."""
        total = 0.0
        for where in self._columns():
            block = out[:, where]
            if direction is None:
                block[...] = logits[:, where]
            else:
                np.multiply(direction[:, where], np.float32(step), out=block)
                block += logits[:, where]
            total += float(softmax_in_place(block) @ self.shares(where))
        return total

    def slope(self, direction: Logits, probabilities: Logits) -> tuple[float, float]:
        """First and second derivative of `normalizer` along `direction`, where the softmax is `probabilities`."""
        first = second = 0.0
        for where in self._columns():
            along = direction[:, where]
            product = probabilities[:, where] * along
            mean = product.sum(axis=0)
            product *= along
            spread = product.sum(axis=0)
            spread -= mean * mean
            first += float(mean @ self.shares(where))
            second += float(spread @ self.shares(where))
        return first, second

    def to_residual(self, probabilities: Logits) -> None:
        """Turn probabilities into the derivative of the loss by the logits, in place: w_i (p_ci - t_ci) / n."""
        for where in self._columns():
            self.residual_in_place(probabilities[:, where], where)

    def residual_in_place(self, probabilities: NDArray[np.floating], where: slice) -> None:
        """As `to_residual`, for the columns of the samples at `where`."""
        if self._spread:
            probabilities -= self._spread
        probabilities[self.labels[where], np.arange(probabilities.shape[1])] -= self._right
        probabilities *= self.shares(where, probabilities.dtype)

    def shares(self, where: slice, dtype: np.dtype[Any] = FLOAT32) -> NDArray[Any]:
        """Weight of each sample divided by n, in the precision that is asked for."""
        return self._shares[dtype][where]


def softmax_in_place(block: NDArray[np.floating]) -> NDArray[np.floating]:
    """Logits (classes, n) -> their softmax in place; gives logsumexp (n,)."""
    peak = block.max(axis=0)
    block -= peak
    np.exp(block, out=block)
    total = block.sum(axis=0)
    block /= total
    return peak + np.log(total)
