"""The inverse Hessian of L-BFGS, from few pairs of vectors: the compact form of Byrd, Nocedal and Schnabel (1994)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.optimizers.optimizer import State, array_of, count_of


class InverseHessian:
    """The last steps s and changes of the gradient y, with their products, and the inverse Hessian that they imply."""

    def __init__(self, most: int, size: int) -> None:
        self.pairs = 0
        self._most, self._size = most, size
        self._steps, self._changes = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        self._cross, self._square = np.zeros((most, most)), np.zeros((most, most))

    def remember(self, step: NDArray[np.float32], change: NDArray[np.float32]) -> None:
        """Add a pair, unless rounding has eaten its curvature; forget the oldest where there is no room."""
        if float(step @ change) <= 1e-10 * float(change @ change):
            return
        if self.pairs == self._most:
            self._steps[:-1], self._changes[:-1] = self._steps[1:], self._changes[1:]
            self._cross[:-1, :-1], self._square[:-1, :-1] = self._cross[1:, 1:], self._square[1:, 1:]
            self.pairs -= 1
        at, self.pairs = self.pairs, self.pairs + 1
        self._steps[at], self._changes[at] = step, change
        self._cross[: at + 1, at] = self._steps[: at + 1] @ change
        self._square[: at + 1, at] = self._square[at, : at + 1] = self._changes[: at + 1] @ change

    def state(self) -> State:
        """A copy of what is remembered."""
        count = self.pairs
        return {
            "pairs": np.array(count, np.int64),
            "pair_steps": self._steps[:count].copy(),
            "pair_changes": self._changes[:count].copy(),
            "pair_cross": self._cross[:count, :count].copy(),
            "pair_square": self._square[:count, :count].copy(),
        }

    def restore(self, state: State) -> None:
        """Remember what `state` gave. Raises: InputError: it is not of this size."""
        count = self.pairs = count_of(state, "pairs", self._most)
        self._steps[:count] = array_of(state, "pair_steps", (count, self._size))
        self._changes[:count] = array_of(state, "pair_changes", (count, self._size))
        self._cross[:count, :count] = array_of(state, "pair_cross", (count, count), np.float64)
        self._square[:count, :count] = array_of(state, "pair_square", (count, count), np.float64)

    def direction(self, gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """Minus the inverse Hessian times the gradient (Byrd et al. 1994, eq. 3.1); minus the gradient at first."""
        count = self.pairs
        if count == 0:
            return -gradient
        steps, changes = self._steps[:count], self._changes[:count]
        cross, square = self._cross[:count, :count], self._square[:count, :count]
        scale = float(cross[-1, -1] / square[-1, -1])
        upper = np.triu(cross)
        along_steps: NDArray[Any] = np.linalg.solve(upper, (steps @ gradient).astype(np.float64))
        middle = (np.diag(np.diag(cross)) + scale * square) @ along_steps
        along_changes = (changes @ gradient).astype(np.float64)
        weights: NDArray[Any] = np.linalg.solve(upper.transpose(), middle - scale * along_changes)
        direction: NDArray[Any] = (scale * along_steps).astype(np.float32) @ changes
        direction -= np.float32(scale) * gradient
        direction -= weights.astype(np.float32) @ steps
        return direction
