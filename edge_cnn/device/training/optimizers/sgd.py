"""Mini-batch gradient descent with momentum (Polyak 1964; Bottou 2012): many small steps a pass.

The step is 1/L unless it is given, and decays linearly to zero: the iterates settle.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_cnn.device.training.optimizers.curvature import check_progress, smoothness
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings, Pass, State, array_of, count_of, number_of
from edge_cnn.device.training.problem import HeadProblem, Parameters


def stochastic_descent(
    problem: HeadProblem,
    start: Parameters,
    settings: OptimizerSettings,
    rng: np.random.Generator,
    resumed: State | None = None,
) -> Iterator[Pass]:
    """One pass is one random order of the samples."""
    curvature = smoothness(problem)
    rate = settings.learning_rate or 1.0 / curvature
    # The heavy ball's bound on quadratics (Polyak 1964); the loss is nowhere more curved than L.
    largest_stable = 2.0 * (1.0 + settings.momentum) / curvature
    count = problem.samples
    batch = min(settings.batch_size, count)
    total = -(-count // batch) * settings.passes
    parameters, velocity = start.astype(np.float32), np.zeros_like(start, np.float32)
    done, step, first_loss = 0, 0, np.inf
    if resumed is not None:
        parameters, velocity = (array_of(resumed, name, start.shape) for name in ("parameters", "velocity"))
        done, step = (count_of(resumed, name) for name in ("passes", "step"))
        first_loss = number_of(resumed, "first_loss")

    def state() -> State:
        return {
            "parameters": parameters.copy(),
            "velocity": velocity.copy(),
            "passes": np.array(done, np.int64),
            "step": np.array(step, np.int64),
            "first_loss": np.array(first_loss, np.float64),
        }

    entropy = problem.cross_entropy
    weights = entropy.shares(slice(None)) * np.float32(count)
    right, spread = 1.0 - problem.smoothing, problem.smoothing / problem.classes
    columns = np.arange(batch)
    while done < settings.passes:
        done += 1
        order = rng.permutation(count)
        losses = 0.0
        # A diverging run overflows; check_progress says so in words.
        with np.errstate(over="ignore", invalid="ignore"):
            for begin in range(0, count, batch):
                chosen = order[begin : begin + batch]
                z, labels, index = problem.rows.take(chosen), problem.labels[chosen], columns[: len(chosen)]
                # In place: this is the hot loop.
                residual = z @ parameters.T
                residual -= residual.max(axis=1, keepdims=True)
                np.exp(residual, out=residual)
                residual /= residual.sum(axis=1, keepdims=True)
                fit = right * np.log(np.maximum(residual[index, labels], 1e-30))
                if spread:
                    fit += spread * np.log(np.maximum(residual, 1e-30)).sum(axis=1)
                    residual -= spread
                loss = -float(fit @ weights[chosen]) / len(chosen)
                residual[index, labels] -= right
                residual *= (weights[chosen] / len(chosen))[:, None]
                gradient = residual.T @ z
                gradient += problem.l2 * (parameters - problem.anchor)
                velocity *= settings.momentum
                velocity -= rate * (1.0 - step / total) * gradient
                parameters += velocity
                step += 1
                losses += loss * len(chosen)
                first_loss = min(first_loss, max(loss, 0.0)) if step > 1 else loss
                check_progress(step, loss, first_loss, rate, largest_stable)
        check_progress(step, float(parameters.sum()), np.inf, rate, largest_stable)
        yield Pass(parameters.copy(), losses / count + problem.penalty(parameters), step, rate, state)
