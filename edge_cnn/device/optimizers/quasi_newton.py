"""Quasi-Newton descent: L-BFGS (Nocedal 1980) in the compact form of Byrd, Nocedal and Schnabel (1994).

Two passes over the embeddings an iteration, one forward and one back: the line search works on logits alone. Where a
pass is dear, the first iterations see a part of the samples only (Byrd, Chin, Nocedal and Wu 2012): far from the
optimum the gradient of a few hundred tells the way as well as that of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.head_problem import HeadProblem, Parameters
from edge_cnn.device.optimizers.line_search import LinearPart, line_search
from edge_cnn.device.optimizers.optimizer import OptimizerSettings, Pass

MOST_PAIRS, LEAST_PAIRS = 10, 3
"""Steps that are remembered, where memory allows and at least."""


LARGE_VALUES = 2**19
"""Values from which a pass costs more than the bookkeeping of an iteration."""

WARM_SHARE, WARM_LEAST, WARM_ITERATIONS = 8, 256, 4
"""One sample of so many warms up, at least so many samples, for so many iterations."""


def pairs_that_fit(problem: HeadProblem, memory: int) -> int:
    """Steps that can be remembered in `memory` bytes beside what an iteration needs; may be negative."""
    head, logits = 4 * problem.anchor.size, 4 * problem.classes * problem.samples
    spare = memory - problem.rows.resident - 3 * logits - 8 * head
    return min(spare // (2 * head), MOST_PAIRS)


def quasi_newton_descent(
    problem: HeadProblem, start: Parameters, settings: OptimizerSettings, rng: np.random.Generator
) -> Iterator[Pass]:
    """One pass is one iteration, or the warm-up; nothing is random, a given learning rate of no use."""
    del rng
    warm_up: list[Pass] = []
    if problem.rows.samples >= 2 * WARM_LEAST and problem.rows.samples * problem.rows.width >= LARGE_VALUES:
        warm_up = list(_descend(_part(problem), start, replace(settings, passes=WARM_ITERATIONS)))
    if not warm_up:
        yield from _descend(problem, start, settings)
        return
    warmed = warm_up[-1]
    yield warmed
    if settings.passes > 1:
        for done in _descend(problem, warmed.parameters, replace(settings, passes=settings.passes - 1)):
            yield replace(done, steps=done.steps + warmed.steps)


def _part(problem: HeadProblem) -> HeadProblem:
    """The problem on evenly spaced samples, as they may be sorted by class."""
    count = problem.samples
    members = np.arange(0, count, max(min(WARM_SHARE, count // WARM_LEAST), 1))
    weights = None if problem.weights is None else problem.weights[members]
    return replace(
        problem,
        rows=problem.rows.select(members),
        labels=problem.labels[members],
        weights=None if weights is None else weights / weights.mean(),
    )


def _descend(problem: HeadProblem, start: Parameters, settings: OptimizerSettings) -> Iterator[Pass]:
    entropy = problem.cross_entropy
    history = _History(max(pairs_that_fit(problem, settings.memory), LEAST_PAIRS), problem.anchor.size)
    parameters = start.astype(np.float32)
    logits = problem.logits(parameters) if parameters.any() else _zeros(problem)
    targets = entropy.linear(logits)
    probabilities, direction_logits = np.empty_like(logits), np.empty(0, np.float32)
    loss = entropy.normalizer(logits, None, 0.0, probabilities) - targets + problem.penalty(parameters)
    last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    for step in range(1, settings.passes + 1):
        entropy.to_residual(probabilities)
        gradient = problem.back_project(probabilities)
        moved = parameters - problem.anchor
        gradient += np.float32(problem.l2) * moved
        flat = gradient.ravel()
        if float(flat @ flat) / (2.0 * problem.l2) <= settings.tolerance * loss:
            return
        if last is not None:
            history.remember(last[0], flat - last[1])
        direction = history.direction(flat)
        slope = float(direction @ flat)
        if slope >= 0.0:
            return  # float32 can tell no way down any more
        del direction_logits
        direction_logits = problem.logits(direction.reshape(parameters.shape))
        along_targets = entropy.linear(direction_logits)
        linear = LinearPart(
            problem.l2 * float(moved.ravel() @ direction) - along_targets, problem.l2 * float(direction @ direction)
        )
        length, normalizer = line_search(
            entropy, logits, direction_logits, linear, slope, 1.0 if history.pairs else None, probabilities
        )
        direction *= np.float32(length)
        parameters = parameters + direction.reshape(parameters.shape)
        direction_logits *= np.float32(length)
        logits += direction_logits
        targets += length * along_targets
        loss = normalizer - targets + problem.penalty(parameters)
        last = direction, flat
        yield Pass(parameters, loss, step, length)


def _zeros(problem: HeadProblem) -> NDArray[np.float32]:
    return np.zeros((problem.classes, problem.samples), np.float32)


class _History:
    """The last steps s and changes of the gradient y, with their products, and the inverse Hessian that they imply."""

    def __init__(self, most: int, size: int) -> None:
        self.pairs = 0
        self._most = most
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
