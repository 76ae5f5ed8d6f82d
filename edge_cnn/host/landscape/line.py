"""The straight line between two minima, and the barrier on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.host.landscape.twin import make_twin
from edge_cnn.host.training.objectives import CROSS_ENTROPY


@dataclass(frozen=True)
class LineBetween:
    """Loss and accuracy of the networks with the weights (1 - a) first + a second.

    Attributes:
        alphas: float64 (points,), a from 0 to 1.
        losses: float64 (points,), mean over the samples.
        accuracies: float64 (points,), shares of right answers; NaN where the objective has no answers.
        barrier: how far the loss rises above the straight line between its two ends, at most; 0 where it never does.
    """

    alphas: NDArray[np.float64]
    losses: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    barrier: float


def line_between(
    model: Any,
    first: list[NDArray[Any]],
    second: list[NDArray[Any]],
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    objective_name: str = CROSS_ENTROPY,
    points: int = 21,
) -> LineBetween:
    """Walk from one set of weights to another of the same architecture; `model` keeps its own.

    The height of the barrier is that of Frankle et al. 2020 (Linear Mode Connectivity and the Lottery Ticket
    Hypothesis), above the interpolated loss of the ends as Entezari et al. 2022 take it rather than above their mean.
    Without a barrier both runs found the same valley; two runs from different random weights usually find two.

    The statistics of batch norm are recomputed from the samples at every point, the ends included, as Izmailov et al.
    2018 do for averaged weights: the mean of two networks' statistics is not what the activations of the mean network
    have, and with it the barrier would measure the wrong scale of the activations rather than the weights.

    Args:
        model: `keras.Model` of the architecture, float32 (n, height, width, channels) -> outputs.
        first, second: what `model.get_weights()` gave after each training.
        inputs: float32 (n, height, width, channels), at least one.
        labels: int64 (n,).
        objective_name: a row of `OBJECTIVES`.
        points: on the line, the ends included; at least 2.

    Raises:
        InputError: fewer than two points, weights of another architecture, unknown objective.
    """
    shapes = [weight.shape for weight in model.get_weights()]
    for name, weights in (("first", first), ("second", second)):
        if [np.shape(weight) for weight in weights] != shapes:
            raise InputError(f"the {name} weights are not of this architecture; give what its get_weights() returned")
    if points < 2:
        raise InputError(f"{points} points on the line: the two ends are the least; give at least 2")
    twin = make_twin(model, inputs, labels, objective_name)
    alphas = np.linspace(0, 1, points)
    found: list[tuple[float, float]] = []
    for alpha in alphas.tolist():
        twin.place([_between(*pair, alpha) for pair in zip(first, second, strict=True)])
        twin.renew_statistics()
        found.append(twin.measure())
    losses, accuracies = np.array(found).T
    return LineBetween(alphas, losses, accuracies, barrier_height(alphas, losses))


def barrier_height(alphas: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """How far `losses` (points,) at `alphas` (points,) in [0, 1] rise above the line between their ends, at most."""
    straight = (1 - alphas) * losses[0] + alphas * losses[-1]
    # The ends are on the line, whatever the rounding says.
    return max(float(np.max(losses - straight)), 0.0)


def _between(first: NDArray[Any], second: NDArray[Any], alpha: float) -> NDArray[Any]:
    if not np.issubdtype(first.dtype, np.floating):
        return first  # the state of a random generator
    return (1 - alpha) * first + alpha * second
