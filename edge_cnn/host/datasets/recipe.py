"""How a data set is usually trained: what `train` takes where the user says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["cross-entropy", "squared-error", "reconstruction"]
"""What training minimizes: cross-entropy of the scores; the sum over classes of (score - one-hot label)^2; the mean
square of output - input."""

Augmentation = Literal["none", "handwriting", "photos"]
"""How images change at random: not at all; small turns, shifts and stretches; left-right flips and shifts."""


@dataclass(frozen=True)
class Recipe:
    """Settings that are known to train a data set.

    Attributes:
        architecture: a row of `edge_cnn.host.architectures.ARCHITECTURES`.
        epochs: passes over the training part.
        batch_size: samples of one update.
        optimizer: adam, adamw, sgd or rmsprop.
        learning_rate: peak of its schedule; None: the optimizer's own.
        objective: what is minimized.
        augmentation: how images change at random.
        watch_test: whether the loss of the test part is recorded each epoch, beside that of the validation samples.
            Nothing is chosen by it.
    """

    architecture: str
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float | None
    objective: Objective
    augmentation: Augmentation
    watch_test: bool = False
