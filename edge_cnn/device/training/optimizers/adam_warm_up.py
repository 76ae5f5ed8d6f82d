"""The first steps from far away: Adam (Kingma and Ba 2015) on mini-batches.

A hundred samples tell the way from an untrained head as well as all do, and Adam needs to know no curvature. It is left
for a descent on all samples after at most one pass over them, while its steps are still worth more than their noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from edge_cnn.device.training.optimizers.optimizer import Pass, State, array_of, count_of
from edge_cnn.device.training.problem import HeadProblem, Parameters

BATCH, LEAST_BATCH = 100, 64
"""Samples a step, and at least where fewer are done disproportionately sooner."""

STEPS = 4
"""Of a pass: what is told and watched after each one must not cost more than they do."""

LEAST_PASSES, CLASSES_A_PASS = 3, 8
"""Passes: so many, or one for so many classes where that is more, as of many classes a batch holds few samples each."""

REACH = 3.5
"""By how much the first step may change a logit of a sample whose standardized features are all 1 or -1."""

MEAN_KEPT, SQUARE_KEPT = 0.9, 0.999
"""Shares of the moments that are kept each step: the paper's own."""

LEAST_SQUARE = 1e-30
"""Where the second moment starts, so that 0/0 is 0."""

FAR = 0.5
"""Share of the loss of guessing from which a start is far from the optimum: Adam's first steps spoil a near one."""


def warm_up_passes(problem: HeadProblem, start: Parameters) -> int:
    """How many: few, hardly any over samples that were seen already, and none from a start that is good."""
    if start.any():
        loss, _ = problem.part_value_and_gradient(start, slice(0, None, batch_stride(problem)))
        if loss < FAR * np.log(problem.classes):
            return 0
    return min(-(-problem.samples // (BATCH * STEPS)), max(LEAST_PASSES, problem.classes // CLASSES_A_PASS))


def adam_warm_up(problem: HeadProblem, start: Parameters, until: int, resumed: State | None = None) -> Iterator[Pass]:
    """Passes of `STEPS` steps each, up to number `until`; nothing is random."""
    parameters, mean = start.astype(np.float32), np.zeros_like(start, np.float32)
    square = np.full_like(mean, LEAST_SQUARE)
    step, rate = 0, REACH / problem.rows.width
    if resumed is not None:
        parameters, mean, square = (array_of(resumed, name, start.shape) for name in ("parameters", "mean", "square"))
        step = count_of(resumed, "step")
    stride = batch_stride(problem)

    def state() -> State:
        return {
            "step": np.array(step, np.int64),
            "parameters": parameters.copy(),
            "mean": mean.copy(),
            "square": square.copy(),
        }

    while step < until * STEPS:
        losses = 0.0
        for _ in range(STEPS):
            # Evenly spaced, as samples may be sorted by class; a slice of rows in memory is no copy.
            where = slice(step % stride, None, stride)
            loss, gradient = problem.part_value_and_gradient(parameters, where)
            losses += loss
            step += 1
            # Sums, not means: what is left out of both moments is in the rate, with the correction of their zero start.
            mean *= np.float32(MEAN_KEPT)
            mean += gradient
            gradient *= gradient
            square *= np.float32(SQUARE_KEPT)
            square += gradient
            np.sqrt(square, out=gradient)
            np.divide(mean, gradient, out=gradient)
            of_square = (1.0 - SQUARE_KEPT**step) / (1.0 - SQUARE_KEPT)
            of_mean = (1.0 - MEAN_KEPT**step) / (1.0 - MEAN_KEPT)
            gradient *= np.float32(rate * of_square**0.5 / of_mean)
            parameters -= gradient
        yield Pass(parameters.copy(), losses / STEPS, step, rate, state, warm_up=True)


def batch_stride(problem: HeadProblem) -> int:
    """A prime that makes batches of nearly `BATCH` samples, or of fewer where that makes small products: labels may go
    round in a circle.
    """
    batch = min(problem.thin_rows, BATCH) if problem.thin_rows >= LEAST_BATCH else BATCH
    least = -(-problem.samples // batch)
    return next(p for p in itertools.count(max(least, 1)) if all(p % d for d in range(2, math.isqrt(p) + 1)))
