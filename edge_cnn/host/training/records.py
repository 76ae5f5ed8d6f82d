"""What a training tells: a record an epoch, progress between them, and what it came to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.rate_choice import RangeTest

if TYPE_CHECKING:
    from edge_cnn.host.training.divergence import Divergence


@dataclass(frozen=True)
class EpochRecord:
    """A line of `history.json`.

    Attributes:
        epoch: 0 is the untrained network.
        loss, accuracy: on the training part. Epoch 0: on the images as they are; others: mean over the epoch's steps,
            with augmentation and dropout, so they may look worse than the validation.
        val_loss, val_accuracy: of the running mean of the weights, on samples that no update saw.
        learning_rate: at the end of the epoch; 0 for epoch 0.
        seconds: what the epoch took, validation included.
        gradient_norms: length of the gradient of each layer's weights, root mean square over the epoch's steps; empty
            for epoch 0.
        test_loss, test_wrong: on the test part, where one is watched: it decides nothing. None else.

    Losses are in the unit of the objective. Accuracies are NaN (null in the file) where there are no right answers.
    """

    epoch: int
    loss: float
    val_loss: float
    accuracy: float
    val_accuracy: float
    learning_rate: float
    seconds: float = field(default=0.0, compare=False)
    gradient_norms: Mapping[str, float] = field(default_factory=dict[str, float])
    test_loss: float | None = None
    test_wrong: int | None = None

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        if self.test_loss is None:
            del fields["test_loss"], fields["test_wrong"]
        accuracies = {n: None for n in ("accuracy", "val_accuracy") if not math.isfinite(fields[n])}
        return fields | accuracies | {"seconds": round(self.seconds, 4)}


@dataclass(frozen=True)
class StepProgress:
    """Where a training is.

    Attributes:
        epoch: the one that is going on, from 1.
        step, steps: done in this epoch, and how many there are.
        loss, accuracy: mean over this epoch's steps so far.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class BestEpoch:
    """The weights to keep.

    Attributes:
        epoch: after which they were taken.
        val_loss: infinite for the untrained network, so that any epoch is better.
        weights: as `keras.Model.get_weights` gives them.
    """

    epoch: int
    val_loss: float
    weights: list[NDArray[Any]]


@dataclass(frozen=True)
class TrainingState:
    """All that decides how a training goes on, between two steps.

    Attributes:
        epoch: the one that is going on, from 1.
        step: how many of its steps are done.
        variables: of network, optimizer, running mean and the epoch's sums, in the order of `TrainingGraph.variables`.
        history: records of the epochs before.
        best: the weights to keep so far.
        seconds: what this epoch took so far.
    """

    epoch: int
    step: int
    variables: list[NDArray[Any]]
    history: tuple[EpochRecord, ...]
    best: BestEpoch
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """A trained network.

    Attributes:
        model: `keras.Model` with the weights of the best epoch, float32 (n, height, width, channels) -> scores.
        preprocessing: from pixels to its input.
        labels: class names.
        history: one record an epoch, the untrained network first.
        best_epoch: the one with the lowest validation loss, whose weights the model has.
        interrupted: whether Ctrl-C ended the training.
        diverged: whether a loss that is not finite ended it.
        config: what was asked for, with the learning rate that was chosen where that was asked for.
        fit_rows, validation_rows: rows of the samples that updates saw, and that validation did: int64.
        divergence: why the loss was not finite, where that ended it.
        range_test: by which the learning rate was chosen; None where it was given.
    """

    model: Any
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    history: tuple[EpochRecord, ...]
    best_epoch: int
    interrupted: bool
    diverged: bool
    config: TrainConfig
    fit_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    divergence: Divergence | None = None
    range_test: RangeTest | None = None
