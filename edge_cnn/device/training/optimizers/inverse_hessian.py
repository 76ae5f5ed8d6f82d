"""The inverse Hessian of L-BFGS, from few pairs of vectors: the compact form of Byrd, Nocedal and Schnabel (1994)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.training.optimizers.optimizer import State, array_of, count_of, number_of


class InverseHessian:
    """The last steps s and changes of the gradient y, with their products, and the inverse Hessian that they imply.

    Args:
        most: pairs that are remembered.
        size: parameters.
        width: of each row of them.
    """

    def __init__(self, most: int, size: int, width: int) -> None:
        self.metric: NDArray[np.float32] | None = None
        """What is known before any step, up to scale: (width, width) for each row, or None for the identity."""
        self.pairs = 0
        self._most, self._size, self._width, self._scale = most, size, width, 1.0
        self._steps, self._changes = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        self._cross = np.zeros((most, most))

    @property
    def is_informed(self) -> bool:
        """Whether a whole step is worth a try."""
        return self.metric is not None or self.pairs > 0

    def start_from(self, metric: NDArray[np.float32]) -> None:
        """Take a metric, float32 (width, width), symmetric."""
        self.metric = metric
        self._set_scale()

    def forget(self) -> None:
        """Drop the pairs, not the metric."""
        self.pairs, self._scale = 0, 1.0

    def remember(self, step: NDArray[np.float32], change: NDArray[np.float32]) -> None:
        """Add a pair, unless rounding has eaten its curvature; forget the oldest where there is no room."""
        if float(step @ change) <= 1e-10 * float(change @ change):
            return
        if self.pairs == self._most:
            self._steps[:-1], self._changes[:-1] = self._steps[1:], self._changes[1:]
            self._cross[:-1, :-1] = self._cross[1:, 1:]
            self.pairs -= 1
        at, self.pairs = self.pairs, self.pairs + 1
        self._steps[at], self._changes[at] = step, change
        self._cross[: at + 1, at] = self._steps[: at + 1] @ change
        self._set_scale()

    def state(self) -> State:
        """A copy of all of it."""
        count = self.pairs
        metric = np.empty((0, 0), np.float32) if self.metric is None else self.metric
        return {
            "metric": metric.copy(),
            "metric_width": np.array(len(metric), np.int64),
            "pairs": np.array(count, np.int64),
            "pair_steps": self._steps[:count].copy(),
            "pair_changes": self._changes[:count].copy(),
            "pair_cross": self._cross[:count, :count].copy(),
            "pair_scale": np.array(self._scale, np.float64),
        }

    def restore(self, state: State) -> None:
        """Take what `state` gave. Raises: InputError: it is not of this size."""
        width = self._width if count_of(state, "metric_width", self._width) else 0
        metric = array_of(state, "metric", (width, width))
        self.metric = metric if width else None
        count = self.pairs = count_of(state, "pairs", self._most)
        self._steps[:count] = array_of(state, "pair_steps", (count, self._size))
        self._changes[:count] = array_of(state, "pair_changes", (count, self._size))
        self._cross[:count, :count] = array_of(state, "pair_cross", (count, count), np.float64)
        self._scale = number_of(state, "pair_scale")

    def direction(self, gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """Minus the inverse Hessian times the gradient.

        Byrd et al. 1994, eq. 2.6, in the order of the two loops of Nocedal (1980): the metric is used once.
        """
        count = self.pairs
        if count == 0:
            return -self._in_metric(gradient)
        steps, changes, cross = self._steps[:count], self._changes[:count], self._cross[:count, :count]
        upper = np.triu(cross)
        along_steps: NDArray[Any] = np.linalg.solve(upper, (steps @ gradient).astype(np.float64))
        rest: NDArray[Any] = along_steps.astype(np.float32) @ changes
        np.subtract(gradient, rest, out=rest)
        direction = self._in_metric(rest)
        direction *= np.float32(-self._scale)
        right = np.diag(cross) * along_steps + (changes @ direction).astype(np.float64)
        direction -= np.linalg.solve(upper.transpose(), right).astype(np.float32) @ steps
        return direction

    def _set_scale(self) -> None:
        """By the last pair (Nocedal and Wright 2006, eq. 7.20), as seen in the metric."""
        if self.pairs:
            at = self.pairs - 1
            change = self._changes[at]
            self._scale = float(self._cross[at, at]) / float(change @ self._in_metric(change))

    def _in_metric(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """A copy, or the vector itself where there is no metric."""
        if self.metric is None:
            return vector
        return (vector.reshape(-1, self._width) @ self.metric).ravel()
