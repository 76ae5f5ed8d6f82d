"""Quasi-Newton descent: L-BFGS (Nocedal 1980).

Two passes over the embeddings an iteration, one forward and one back: the line search works on logits alone. Where the
features are few, their covariance says from the start what the steps would have to learn (`feature_curvature`). Where
they are many, the first steps are taken on mini-batches (`adam_warm_up`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.training.optimizers import feature_curvature
from edge_cnn.device.training.optimizers.adam_warm_up import STEPS, adam_warm_up, warm_up_passes
from edge_cnn.device.training.optimizers.inverse_hessian import InverseHessian
from edge_cnn.device.training.optimizers.line_search import LinearPart, line_search
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings, Pass, State, array_of, count_of, number_of
from edge_cnn.device.training.problem import HeadProblem, Parameters

MOST_PAIRS, LEAST_PAIRS = 10, 3
"""Steps that are remembered, where memory allows and at least."""


WARM_UP, MAIN = 0, 1
"""Stages: on mini-batches, on all samples."""

LARGE_VALUES = 2**17
"""Values from which a pass costs more than a few mini-batches."""


def pairs_that_fit(problem: HeadProblem, memory: int) -> int:
    """Steps that can be remembered in `memory` bytes beside what an iteration needs; may be negative."""
    head, logits = 4 * problem.anchor.size, 4 * problem.classes * problem.samples
    metric = 32 * problem.rows.width**2 if feature_curvature.is_worth_it(problem) else 0
    spare = memory - problem.rows.resident - 3 * logits - 8 * head - metric
    return min(spare // (2 * head), MOST_PAIRS)


def quasi_newton_descent(
    problem: HeadProblem,
    start: Parameters,
    settings: OptimizerSettings,
    rng: np.random.Generator,
    resumed: State | None = None,
) -> Iterator[Pass]:
    """One pass is one iteration, in the warm-up a few mini-batches; nothing is random."""
    del rng
    pairs = max(pairs_that_fit(problem, settings.memory), LEAST_PAIRS)
    hessian = InverseHessian(pairs, problem.anchor.size, problem.rows.width)
    stage, step, parameters = WARM_UP, 0, start.astype(np.float32)
    if resumed is not None:
        stage, step = count_of(resumed, "stage", MAIN), count_of(resumed, "step")
        parameters = array_of(resumed, "parameters", start.shape)
        if stage == MAIN:
            hessian.restore(resumed)
    warm_passes = _warm_passes(problem, start)
    if stage == WARM_UP and warm_passes:
        until = min(warm_passes, settings.passes)
        for done in adam_warm_up(problem, parameters, until, resumed):
            parameters, step = done.parameters, done.steps
            yield replace(done, state=partial(_with_stage, done.state, WARM_UP))
        resumed = None
    # A pass of the warm-up is several steps.
    until = settings.passes + (STEPS - 1) * min(warm_passes, settings.passes)
    if step < until:
        for done in _descend(problem, parameters, settings.tolerance, hessian, step, until, resumed):
            yield replace(done, state=partial(_with_stage, done.state, MAIN))


def _with_stage(state: Callable[[], State], stage: int) -> State:
    return state() | {"stage": np.array(stage, np.int64)}


def _warm_passes(problem: HeadProblem, start: Parameters) -> int:
    """Of the warm-up; 0 where there is none, as where the start is not the anchor, so that it was trained already."""
    few = problem.samples * problem.rows.width < LARGE_VALUES or feature_curvature.is_worth_it(problem)
    return 0 if few or not np.array_equal(start, problem.anchor) else warm_up_passes(problem, start)


def _descend(
    problem: HeadProblem,
    parameters: Parameters,
    tolerance: float,
    hessian: InverseHessian,
    step: int,
    until: int,
    resumed: State | None,
) -> Iterator[Pass]:
    """Iterations `step + 1` to `until`; `hessian` learns from them."""
    entropy = problem.cross_entropy
    last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    if resumed is None:
        logits = problem.logits(parameters) if parameters.any() else _zeros(problem)
        targets = entropy.linear(logits)
        probabilities = np.empty_like(logits)
        loss = entropy.normalizer(logits, None, 0.0, probabilities) - targets + problem.penalty(parameters)
        if hessian.metric is None and feature_curvature.is_worth_it(problem):
            hessian.start_from(feature_curvature.inverse_curvature(problem, probabilities))
    else:
        # Kept up to date with each step, not computed from the parameters, so their last bits are their own.
        logits, probabilities = (
            array_of(resumed, name, (problem.classes, problem.samples)) for name in ("logits", "probabilities")
        )
        targets, loss = number_of(resumed, "targets"), number_of(resumed, "loss")
        size = (parameters.size,)
        last = array_of(resumed, "last_step", size), array_of(resumed, "last_gradient", size)

    def state() -> State:
        assert last is not None
        return hessian.state() | {
            "step": np.array(step, np.int64),
            "parameters": parameters.copy(),
            "logits": logits.copy(),
            "probabilities": probabilities.copy(),
            "targets": np.array(targets, np.float64),
            "loss": np.array(loss, np.float64),
            "last_step": last[0].copy(),
            "last_gradient": last[1].copy(),
        }

    direction_logits = np.empty(0, np.float32)
    while step < until:
        step += 1
        entropy.to_residual(probabilities)
        gradient = problem.back_project(probabilities)
        moved = parameters - problem.anchor
        gradient += np.float32(problem.l2) * moved
        flat = gradient.ravel()
        if float(flat @ flat) / (2.0 * problem.l2) <= tolerance * loss:
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
            entropy, logits, direction_logits, linear, slope, 1.0 if hessian.is_informed else None, probabilities
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
