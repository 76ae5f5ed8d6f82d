"""What watches a training: the history, the running mean of the weights, the best of them, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.tensorflow_import import import_tensorflow

AVERAGING = 0.99
"""Decay, a step, of the running mean of the weights."""

SECONDS_BETWEEN_STEPS = 0.5
"""How often `on_step` is called; asking Keras for its numbers after every step would cost time."""


@dataclass(frozen=True)
class EpochRecord:
    """A line of `history.json`.

    Attributes:
        epoch: 0 is the untrained network.
        loss, accuracy: on the training part. Epoch 0: on the images as they are; others: mean over the epoch's steps,
            with augmentation and dropout, so they may look worse than the validation.
        val_loss, val_accuracy: of the running mean of the weights, on samples that no update saw.
        learning_rate: at the end of the epoch; 0 for epoch 0.

    Losses are cross-entropies in nats.
    """

    epoch: int
    loss: float
    val_loss: float
    accuracy: float
    val_accuracy: float
    learning_rate: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


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


def make_recorder(
    patience: int | None, on_epoch: Callable[[EpochRecord], None], on_step: Callable[[StepProgress], None]
) -> Any:
    """A Keras callback with `start(...)`, `records`, `best` and `diverged`; give it to one `fit`.

    Validation sees a running mean of the weights (Polyak and Juditsky 1992), not the last step's, which jump about
    while the learning rate is high: so the best epoch is chosen with less luck, and is good at any time.

    Args:
        patience: epochs without a lower validation loss until the training stops; None never stops it.
        on_epoch: told of each epoch when it ends, and of the untrained network first.
        on_step: told now and then where the training is.
    """
    _, keras = import_tensorflow()

    # Inside a function, since the base class exists only once Keras is imported.
    class Recorder(keras.callbacks.Callback):
        diverged = False

        def start(self, model: Any, steps: int, fitted: dict[str, float], held_out: dict[str, float]) -> None:
            """Take down the untrained network: its metrics on the training part and on the validation part."""
            first = EpochRecord(0, fitted["loss"], held_out["loss"], fitted["accuracy"], held_out["accuracy"], 0.0)
            self.records = [first]
            self.best = BestEpoch(0, math.inf, model.get_weights())
            self._mean = model.get_weights()
            self._steps, self._done, self._told = steps, 0, time.monotonic()
            on_epoch(first)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._done += 1
            # A shorter memory at first, so that the random start is soon forgotten.
            keep = min(AVERAGING, self._done / (self._done + 10))
            for mean, variable in zip(self._mean, self.model.weights, strict=True):
                mean += (1 - keep) * (variable.numpy() - mean)
            now = time.monotonic()
            if now - self._told >= SECONDS_BETWEEN_STEPS and logs:
                self._told = now
                epoch = (self._done - 1) // self._steps + 1
                on_step(StepProgress(epoch, batch + 1, self._steps, float(logs["loss"]), float(logs["accuracy"])))

        def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002  # Keras' signature
            self._last = self.model.get_weights()
            self.model.set_weights(self._mean)

        def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002  # Keras' signature
            self.model.set_weights(self._last)

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            record = EpochRecord(
                epoch + 1,
                *(float(logs[key]) for key in ("loss", "val_loss", "accuracy", "val_accuracy")),
                learning_rate=float(np.asarray(self.model.optimizer.learning_rate)),
            )
            if not (math.isfinite(record.loss) and math.isfinite(record.val_loss)):
                self.diverged = self.model.stop_training = True
                return
            self.records.append(record)
            if record.val_loss < self.best.val_loss:
                # One assignment, so that an interrupt finds the old best or the new one, whole.
                self.best = BestEpoch(record.epoch, record.val_loss, [mean.copy() for mean in self._mean])
            elif patience is not None and record.epoch - self.best.epoch >= patience:
                self.model.stop_training = True
            on_epoch(record)

    return Recorder()
