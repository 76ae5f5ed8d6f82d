"""What goes into the graph of a training, and what comes out: steps to take, and what they came to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Steps:
    """Steps to take, one after another.

    Attributes:
        order: rows of the training part, int32 (steps, batch).
        seeds: of augmentation, int32 (steps, 2).
        rates: learning rate of each, float32 (steps,).
        keeps: how much of its past the running mean of the weights keeps at each, float32 (steps,) in [0, 1).
    """

    order: NDArray[np.int32]
    seeds: NDArray[np.int32]
    rates: NDArray[np.float32]
    keeps: NDArray[np.float32]


@dataclass(frozen=True)
class LastStep:
    """The last step that was taken, or that could not be.

    Attributes:
        loss: of its batch.
        gradient_norm: of all layers together, before any clipping.
    """

    loss: float
    gradient_norm: float


@dataclass(frozen=True)
class Totals:
    """Means since the last `start_epoch`.

    Attributes:
        loss: over the samples of the steps, with class weights and penalties.
        accuracy: share of right answers; NaN for an objective without any.
        gradient_norms: by layer, root mean square over the steps.
    """

    loss: float
    accuracy: float
    gradient_norms: dict[str, float]
