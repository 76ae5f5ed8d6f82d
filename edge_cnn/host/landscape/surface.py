"""The loss around the minimum that a training found, on a plane through the space of the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.host.landscape.directions import filter_normalized_direction
from edge_cnn.host.landscape.twin import make_twin
from edge_cnn.host.training.objectives import CROSS_ENTROPY

POINTS = 21
REACH = 1.0
"""How far the plane goes each way, in lengths of the filters: at 1 as much noise as weight, as in Li et al. 2018."""


@dataclass(frozen=True)
class LossSurface:
    """Mean losses on a plane; the network itself is at (0, 0).

    Attributes:
        xs, ys: float64 (points,), steps along the first and the second direction, ascending, 0 in the middle.
        losses: float64 (points, points), a row for each of `ys`; not finite where the network overflowed.
        samples: over how many samples each is the mean.
    """

    xs: NDArray[np.float64]
    ys: NDArray[np.float64]
    losses: NDArray[np.float64]
    samples: int

    @property
    def minimum(self) -> float:
        """The loss of the network itself."""
        middle = len(self.xs) // 2
        return float(self.losses[middle, middle])


def loss_surface(
    model: Any,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    objective_name: str = CROSS_ENTROPY,
    points: int = POINTS,
    reach: float = REACH,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> LossSurface:
    """Measure the loss at weights + x d1 + y d2 for two random, filter-normalized directions; `model` stays as it is.

    The statistics of batch norm stay those that the training left, as in the code of Li et al. 2018: the plane shows
    the network that is exported, in which they are constants like any other.

    Args:
        model: `keras.Model`, float32 (n, height, width, channels) -> outputs.
        inputs: float32 (n, height, width, channels), at least one; the cost is n times points squared.
        labels: int64 (n,).
        objective_name: a row of `OBJECTIVES`.
        points: along each direction; odd, so that the network itself is one of them.
        reach: how far to go each way.
        seed: of the two directions.
        on_progress: told how many of how many losses are measured.

    Raises:
        InputError: an even or too small number of points, unknown objective, a classifier without logits.
    """
    if points < 3 or points % 2 == 0:
        raise InputError(f"{points} points along a direction: the middle one is the network; give an odd number over 2")
    rng = np.random.default_rng(seed)
    directions = [filter_normalized_direction(model, rng) for _ in range(2)]
    twin = make_twin(model, inputs, labels, objective_name)
    weights = model.get_weights()
    steps = np.linspace(-reach, reach, points)
    losses = np.empty((points, points))
    for row, y in enumerate(steps.tolist()):
        for column, x in enumerate(steps.tolist()):
            twin.place([w + x * a + y * b for w, a, b in zip(weights, *directions, strict=True)])
            losses[row, column] = twin.measure()[0]
        if on_progress is not None:
            on_progress((row + 1) * points, points**2)
    return LossSurface(steps, steps, losses, len(labels))
