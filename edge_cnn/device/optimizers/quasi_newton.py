"""Quasi-Newton descent: L-BFGS (Nocedal 1980).

Two passes over the embeddings an iteration, one forward and one back: the line search works on logits alone. Where a
pass is dear, the first iterations see a part of the samples only (Byrd, Chin, Nocedal and Wu 2012): far from the
optimum the gradient of a few hundred tells the way as well as that of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.head_problem import HeadProblem, Parameters
from edge_cnn.device.optimizers.inverse_hessian import InverseHessian
from edge_cnn.device.optimizers.line_search import LinearPart, line_search
from edge_cnn.device.optimizers.optimizer import OptimizerSettings, Pass, State, array_of, count_of, number_of

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
    problem: HeadProblem,
    start: Parameters,
    settings: OptimizerSettings,
    rng: np.random.Generator,
    resumed: State | None = None,
) -> Iterator[Pass]:
    """One pass is one iteration, or the warm-up; nothing is random."""
    del rng
    warm_steps = 0
    if resumed is not None:
        warm_steps = count_of(resumed, "warm_steps")
        if count_of(resumed, "step") == 0:
            start, resumed = array_of(resumed, "parameters", start.shape), None
    elif problem.rows.samples >= 2 * WARM_LEAST and problem.rows.samples * problem.rows.width >= LARGE_VALUES:
        warmed = _warm_up(problem, start, settings)
        if warmed is not None:
            yield warmed
            start, warm_steps = warmed.parameters, warmed.steps
    if warm_steps:
        if settings.passes == 1:
            return
        settings = replace(settings, passes=settings.passes - 1)
    for done in _descend(problem, start, settings, resumed):
        yield replace(done, steps=done.steps + warm_steps, state=partial(_with_warm_steps, done.state, warm_steps))


def _with_warm_steps(state: Callable[[], State], warm_steps: int) -> State:
    return state() | {"warm_steps": np.array(warm_steps, np.int64)}


def _warm_up(problem: HeadProblem, start: Parameters, settings: OptimizerSettings) -> Pass | None:
    """A few iterations on a part of the samples as one pass; None where the start is as good as it gets there."""
    last: Pass | None = None
    for done in _descend(_part(problem), start, replace(settings, passes=WARM_ITERATIONS)):
        last = done
    if last is None:
        return None
    steps, parameters = last.steps, last.parameters
    # Not the inner state: it would keep alive what the part needed.
    return replace(
        last,
        state=lambda: {
            "warm_steps": np.array(steps, np.int64),
            "step": np.array(0, np.int64),
            "parameters": parameters.copy(),
        },
    )


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


def _descend(
    problem: HeadProblem, start: Parameters, settings: OptimizerSettings, resumed: State | None = None
) -> Iterator[Pass]:
    entropy = problem.cross_entropy
    hessian = InverseHessian(max(pairs_that_fit(problem, settings.memory), LEAST_PAIRS), problem.anchor.size)
    last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    if resumed is None:
        step, parameters = 0, start.astype(np.float32)
        logits = problem.logits(parameters) if parameters.any() else _zeros(problem)
        targets = entropy.linear(logits)
        probabilities = np.empty_like(logits)
        loss = entropy.normalizer(logits, None, 0.0, probabilities) - targets + problem.penalty(parameters)
    else:
        step, parameters = count_of(resumed, "step"), array_of(resumed, "parameters", start.shape)
        # Kept up to date with each step, not computed from the parameters, so their last bits are their own.
        logits, probabilities = (
            array_of(resumed, name, (problem.classes, problem.samples)) for name in ("logits", "probabilities")
        )
        targets, loss = number_of(resumed, "targets"), number_of(resumed, "loss")
        last = array_of(resumed, "last_step", (start.size,)), array_of(resumed, "last_gradient", (start.size,))
        hessian.restore(resumed)

    def state() -> State:
        assert last is not None
        return {
            "step": np.array(step, np.int64),
            "parameters": parameters.copy(),
            "logits": logits.copy(),
            "probabilities": probabilities.copy(),
            "targets": np.array(targets, np.float64),
            "loss": np.array(loss, np.float64),
            "last_step": last[0].copy(),
            "last_gradient": last[1].copy(),
        } | hessian.state()

    direction_logits = np.empty(0, np.float32)
    while step < settings.passes:
        step += 1
        entropy.to_residual(probabilities)
        gradient = problem.back_project(probabilities)
        moved = parameters - problem.anchor
        gradient += np.float32(problem.l2) * moved
        flat = gradient.ravel()
        if float(flat @ flat) / (2.0 * problem.l2) <= settings.tolerance * loss:
            return
        if last is not None:
            hessian.remember(last[0], flat - last[1])
        direction = hessian.direction(flat)
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
            entropy, logits, direction_logits, linear, slope, 1.0 if hessian.pairs else None, probabilities
        )
        direction *= np.float32(length)
        parameters = parameters + direction.reshape(parameters.shape)
        direction_logits *= np.float32(length)
        logits += direction_logits
        targets += length * along_targets
        loss = normalizer - targets + problem.penalty(parameters)
        last = direction, flat
        yield Pass(parameters, loss, step, length, state)


def _zeros(problem: HeadProblem) -> NDArray[np.float32]:
    return np.zeros((problem.classes, problem.samples), np.float32)
