"""Accelerated full-batch gradient descent (Nesterov 1983; Beck and Teboulle 2009) with adaptive restart.

It remembers two heads besides its own, whatever the number of samples, so it is the one for little memory. Momentum is
dropped whenever it points uphill (O'Donoghue and Candès 2015, the gradient scheme): near the minimum that makes the
descent linear without knowing how strongly convex the loss is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from edge_cnn.device.training.optimizers.curvature import check_progress, smoothness
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings, Pass, State, array_of, count_of, number_of
from edge_cnn.device.training.problem import HeadProblem, Parameters


def accelerated_descent(
    problem: HeadProblem,
    start: Parameters,
    settings: OptimizerSettings,
    rng: np.random.Generator,
    resumed: State | None = None,
) -> Iterator[Pass]:
    """One pass is one step; nothing in it is random."""
    del rng
    curvature = smoothness(problem) if resumed is None else number_of(resumed, "curvature")
    rate = settings.learning_rate or 1.0 / curvature
    largest_stable = 2.0 / curvature
    here, ahead, momentum = start.astype(np.float32), start.astype(np.float32), 1.0
    step, first_loss, near = 0, np.inf, False
    if resumed is not None:
        here, ahead = (array_of(resumed, name, start.shape) for name in ("here", "ahead"))
        momentum, first_loss = (number_of(resumed, name) for name in ("momentum", "first_loss"))
        step, near = count_of(resumed, "step"), bool(count_of(resumed, "near", 1))

    def state() -> State:
        return {
            "curvature": np.array(curvature, np.float64),
            "here": here.copy(),
            "ahead": ahead.copy(),
            "momentum": np.array(momentum, np.float64),
            "step": np.array(step, np.int64),
            "first_loss": np.array(first_loss, np.float64),
            "near": np.array(near, np.int64),
        }

    while step < settings.passes and not near:
        step += 1
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradient = problem.value_and_gradient(ahead)
        first_loss = min(first_loss, loss) if step > 1 else loss
        check_progress(step, loss, first_loss, rate, largest_stable)
        moved: Parameters = (ahead - rate * gradient).astype(np.float32, copy=False)
        if float(np.vdot(gradient, moved - here)) > 0:
            momentum = 1.0
        following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
        ahead = moved.copy()
        ahead += (momentum - 1.0) / following * (moved - here)
        here, momentum = moved, following
        near = float(np.vdot(gradient, gradient)) / (2.0 * problem.l2) <= settings.tolerance * loss
        yield Pass(here, loss, step, rate, state)
