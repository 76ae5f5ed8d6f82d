"""The same training from several random initializations, of which the best by validation loss is kept.

Nothing but the initial weights differs: split, order of the samples, augmentation and the masks of dropout are those of
the configuration's seed. So what differs in the end is what the place of the start was worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import CheckFailedError, InputError
from edge_cnn.host.landscape.line import LineBetween
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.initialization import RANDOM
from edge_cnn.host.training.origin import KEPT
from edge_cnn.host.training.records import EpochRecord, TrainResult

FINISHED, DIVERGED, INTERRUPTED = "finished", "diverged", "interrupted"

MAX_RESTARTS = 1000


@dataclass(frozen=True)
class Restart:
    """One training of several.

    Attributes:
        initial_seed: of its initial weights.
        ended: `FINISHED`; `DIVERGED`, at a loss that was not finite; or `INTERRUPTED`, which nothing is compared with.
        history: one record an epoch; empty where it diverged in the first.
        best_epoch: the one with the lowest validation loss, 0 for none.
        weights: after it, as `keras.Model.get_weights` gives them; empty for none.
    """

    initial_seed: int
    ended: str
    history: tuple[EpochRecord, ...]
    best_epoch: int
    weights: list[NDArray[Any]]

    @property
    def compares(self) -> bool:
        """Whether it has a result that can be held against the others'."""
        return self.best_epoch > 0 and self.ended != INTERRUPTED

    @property
    def val_loss(self) -> float:
        """The lowest; infinite without one."""
        return self.history[self.best_epoch].val_loss if self.best_epoch else math.inf

    @property
    def val_accuracy(self) -> float:
        """Of the same epoch, in [0, 1]; NaN without one."""
        return self.history[self.best_epoch].val_accuracy if self.best_epoch else math.nan

    def to_json(self) -> dict[str, Any]:
        """Without the history: that of the kept one is in `history.json`."""
        known = self.best_epoch > 0
        return {
            "initial_seed": self.initial_seed,
            "ended": self.ended,
            "epochs": max(len(self.history) - 1, 0),
            "best_epoch": self.best_epoch,
            "val_loss": self.val_loss if known else None,
            "val_accuracy": self.val_accuracy if math.isfinite(self.val_accuracy) else None,
        }


@dataclass(frozen=True)
class Restarts:
    """What several trainings came to.

    Attributes:
        asked: how many there were to be.
        runs: those that were begun, in order.
        kept: which of them has the lowest validation loss; the first of equals.
        result: the whole of that one.
        line: from the best to the second best; None where there is none, or it was not walked.
    """

    asked: int
    runs: tuple[Restart, ...]
    kept: int
    result: TrainResult
    line: LineBetween | None = None

    @property
    def interrupted(self) -> bool:
        return self.result.interrupted or len(self.runs) < self.asked or self.runs[-1].ended == INTERRUPTED

    @property
    def ranking(self) -> list[int]:
        """Those that compare, the lowest validation loss first."""
        comparable = [number for number, run in enumerate(self.runs) if run.compares]
        return sorted(comparable, key=lambda number: self.runs[number].val_loss)

    def val_losses(self) -> NDArray[np.float64]:
        """Of those that compare, rising: float64 (n,)."""
        return np.array([self.runs[number].val_loss for number in self.ranking])

    def val_accuracies(self) -> NDArray[np.float64]:
        """Of the same in the same order, in [0, 1] or NaN: float64 (n,)."""
        return np.array([self.runs[number].val_accuracy for number in self.ranking])

    def to_json(self) -> list[dict[str, Any]]:
        return [run.to_json() | {"kept": number == self.kept} for number, run in enumerate(self.runs)]


def train_restarts(
    run: Callable[[TrainConfig], TrainResult],
    config: TrainConfig,
    count: int,
    on_restart: Callable[[int], None] = lambda _number: None,
) -> Restarts:
    """Train `count` times, first as `config` says, then from other initial weights.

    Ctrl-C ends all of it: the best of what ended before is kept, and where nothing had, the best epoch so far.

    Args:
        run: `train` with the samples and all else that it is to be given.
        config: of all of them.
        count: how often.
        on_restart: told the number of each, from 0, before it begins.

    Raises:
        InputError: no training at all, or more than one of a start that is not random.
        CheckFailedError: every one diverged in its first epoch.
        KeyboardInterrupt: before the first one had begun.
    """
    check_restarts(config, count)
    runs: list[Restart] = []
    kept: tuple[int, TrainResult] | None = None
    failure: CheckFailedError | None = None
    for number, seed in enumerate(initial_seeds(config, count)):
        on_restart(number)
        try:
            result = run(config if number == 0 else replace(config, initial_seed=seed))
        except CheckFailedError as error:
            failure = error
            runs.append(Restart(seed, DIVERGED, (), 0, []))
            continue
        except KeyboardInterrupt:
            if kept is None:
                raise
            break
        runs.append(_restart(seed, result))
        if kept is None or (runs[-1].compares and runs[-1].val_loss < runs[kept[0]].val_loss):
            kept = len(runs) - 1, result
        if result.interrupted:
            break
    if kept is None:
        raise failure or KeyboardInterrupt
    return Restarts(count, tuple(runs), *kept)


def check_restarts(config: TrainConfig, count: int) -> None:
    """Raises: InputError: no training at all, too many, or more than one of a start that is not random."""
    if not 1 <= count <= MAX_RESTARTS:
        raise InputError(f"restarts {count}: there must be 1 to {MAX_RESTARTS}; try 5")
    if count > 1 and config.initialization != RANDOM:
        raise InputError(
            f"{count} restarts of {config.initialization} weights would be the same training again; "
            f"give --init {RANDOM}, or no --restarts"
        )
    if count > 1 and config.origin is not None and config.origin.head == KEPT:
        raise InputError(
            f"{count} restarts from {config.origin.name}, whose last layer is kept, would be the same training again; "
            "give no --restarts, or --new-head"
        )


def initial_seeds(config: TrainConfig, count: int) -> list[int]:
    """Of the initial weights of each restart; the first is what the configuration has without restarts."""
    first = config.seed if config.initial_seed is None else config.initial_seed
    others = np.random.SeedSequence((first, 1)).generate_state(count - 1) if count > 1 else []
    return [first, *map(int, others)]


def _restart(seed: int, result: TrainResult) -> Restart:
    ended = INTERRUPTED if result.interrupted else DIVERGED if result.diverged else FINISHED
    weights = result.model.get_weights() if result.best_epoch else []
    return Restart(seed, ended, result.history, result.best_epoch, weights)
