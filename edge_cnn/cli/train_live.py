"""What `edge-cnn train` says while it trains, and how the training ended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_cnn.cli.console import Console, Progress

if TYPE_CHECKING:
    from edge_cnn.host.training import EpochRecord, StepProgress, TrainResult


class Live:
    """Loss and accuracy beside the progress bar, over one training or several."""

    def __init__(self, update: Progress, epochs: int, restarts: int) -> None:
        self._update, self._epochs, self._restarts = update, epochs, restarts
        self._validation = self._which = ""
        self._before = 0

    def on_restart(self, number: int) -> None:
        self._before, self._validation = number * self._epochs, ""
        self._which = f"restart {number + 1} of {self._restarts}, " if self._restarts > 1 else ""

    @property
    def which(self) -> str:
        """Which of several trainings it is, with a comma; empty for one alone."""
        return self._which

    def on_random_beside(self) -> None:
        self._before, self._validation, self._which = self._epochs, "", "from random weights, "

    def on_epoch(self, epoch: EpochRecord) -> None:
        self._validation = f"; validation {epoch.val_loss:.4f}{_share(', ', epoch.val_accuracy)}"
        self._say(epoch.epoch, epoch.loss, epoch.accuracy)

    def on_step(self, step: StepProgress) -> None:
        self._say(step.epoch - 1, step.loss, step.accuracy)

    def _say(self, epochs: int, loss: float, accuracy: float) -> None:
        seen = f"{self._which}loss {loss:.4f}{_share(', accuracy ', accuracy)}{self._validation}"
        self._update(self._before + epochs, seen)


def _share(before: str, accuracy: float) -> str:
    """Nothing where there are no right answers."""
    return f"{before}{accuracy:.1%}" if math.isfinite(accuracy) else ""


def note_ending(console: Console, result: TrainResult) -> None:
    """Say why a training ended before its last epoch."""
    last = len(result.history) - 1
    if result.interrupted:
        console.note(f"interrupted after epoch {last}; the best weights so far, of epoch {result.best_epoch}, are kept")
    elif result.diverged:
        assert result.divergence is not None, "it says why"
        console.note(
            f"training diverged {result.divergence.told()}; the weights of epoch {result.best_epoch} are kept; "
            f"to go further, {result.divergence.advice}"
        )
    elif last < result.config.epochs:
        console.note(f"stopped after epoch {last}, as the validation loss fell no further")
