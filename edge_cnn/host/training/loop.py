"""Epoch after epoch: steps, validation, the best weights so far, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.training.batches import EpochBatches, epoch_batches
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.divergence import Divergence, find_divergence
from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.records import BestEpoch, EpochRecord, StepProgress, TrainingState
from edge_cnn.host.training.schedules import Course, learning_rates, warm_up_steps
from edge_cnn.host.training.steps import Steps, Totals

AVERAGING = 0.99
"""Decay, a step, of the running mean of the weights."""

SECONDS_A_CALL = 0.25
"""Steps are taken in calls that last about so long: progress is told, and Ctrl-C is heard, between them."""

Samples = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class View:
    """What may be looked at when an epoch has ended.

    Attributes:
        graph: with the network in `graph.model` and the running mean of its weights in `graph.mean`.
        record: of the epoch.
        history: with the record.
    """

    graph: TrainingGraph
    record: EpochRecord
    history: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class Hooks:
    """Who is told what.

    Attributes:
        on_epoch: of each epoch when it ends, and of the untrained network first; may look at the networks.
        on_step: between two calls, where the training is.
        on_pause: between two calls and after each epoch, with a function that gives the whole state.
    """

    on_epoch: Callable[[View], None]
    on_step: Callable[[StepProgress], None]
    on_pause: Callable[[Callable[[], TrainingState]], None]


class TrainingLoop:
    """One training from a state to its end; `history` and `best` are whole at any time, also after an exception."""

    def __init__(
        self,
        config: TrainConfig,
        graph: TrainingGraph,
        held_out: Samples,
        hooks: Hooks,
        *,
        samples: int,
        peak_rate: float,
        watched: Samples | None = None,
    ) -> None:
        """Prepare.

        Args:
            config: how.
            graph: what runs.
            held_out: inputs and labels of the validation part.
            hooks: who is told.
            samples: of the training part.
            peak_rate: largest learning rate.
            watched: inputs and labels of a part that is measured every epoch and decides nothing.
        """
        self._config, self._graph, self._held_out, self._watched = config, graph, held_out, watched
        self._hooks, self._samples, self._peak = hooks, samples, peak_rate
        self._batch = min(config.batch_size, samples)
        steps = samples // self._batch
        self._course = Course(config.epochs, steps, warm_up_steps(config.warm_up, config.epochs, steps))
        self.divergence: Divergence | None = None

    def start(self, fitted: Samples) -> None:
        """Take down the untrained network, on the training part and on the validation part."""
        loss, accuracy = self._graph.evaluate(*fitted)
        self.history: tuple[EpochRecord, ...] = ()
        self.best = BestEpoch(0, math.inf, self._graph.mean.get_weights())
        self._epoch, self._step, self._spent = 1, 0, 0.0
        self._graph.start_epoch()
        self._tell(self._measured(0, Totals(loss, accuracy, {}), 0.0, 0.0))

    def resume(self, state: TrainingState) -> None:
        """Go on from a state instead."""
        self._graph.set_state(state.variables)
        self.history, self.best = state.history, state.best
        self._epoch, self._step, self._spent = state.epoch, state.step, state.seconds

    def run(self) -> None:
        """Train until the last epoch, the end of patience, or a loss that is not finite."""
        while self._epoch <= self._config.epochs and not self._out_of_patience():
            if not self._run_epoch():
                return
            self._hooks.on_pause(self._state)

    def _run_epoch(self) -> bool:
        """Whether its loss is finite; else `divergence` says why not."""
        epoch, begun = self._epoch, time.monotonic() - self._spent
        batches = epoch_batches(self._samples, self._batch, self._config.seed, epoch)
        rates = learning_rates(self._config.schedule, self._peak, self._course, epoch, self.history)
        call = 1
        while self._step < len(batches):
            called = time.monotonic()
            call = self._graph.agree(call)
            part = slice(self._step, min(self._step + call, len(batches)))
            taken = self._graph.run(self._steps(batches, rates, part))
            self._step = part.start + taken
            if self._step < part.stop:
                self.divergence = find_divergence(
                    self._graph,
                    batches.order[self._step],
                    batches.seeds[self._step],
                    place=(epoch, self._step + 1, len(batches)),
                    rate=float(rates[max(self._step - 1, 0)]),
                    peak=self._peak,
                )
                return False
            totals = self._graph.totals()
            now = time.monotonic()
            # At most twice as many as before: the first call also traced the graph.
            call = max(1, min(2 * call, int(call * SECONDS_A_CALL / max(now - called, 1e-6))))
            self._spent = now - begun
            self._hooks.on_step(StepProgress(epoch, self._step, len(batches), totals.loss, totals.accuracy))
            if self._step < len(batches):
                self._hooks.on_pause(self._state)
        return self._end_epoch(self._graph.totals(), float(rates[-1]), begun)

    def _end_epoch(self, totals: Totals, rate: float, begun: float) -> bool:
        record = self._measured(self._epoch, totals, rate, begun)
        if not math.isfinite(record.val_loss):
            place, cause = (self._epoch, self._step, self._step), "the validation loss was not finite"
            self.divergence = Divergence(*place, rate, cause, (), f"give a smaller --learning-rate than {self._peak:g}")
            return False
        if record.val_loss < self.best.val_loss:
            # One assignment, so that an interrupt finds the old best or the new one, whole.
            self.best = BestEpoch(record.epoch, record.val_loss, self._graph.mean.get_weights())
        self._epoch, self._step, self._spent = self._epoch + 1, 0, 0.0
        self._graph.start_epoch()
        self._tell(record)
        return True

    def _measured(self, epoch: int, totals: Totals, rate: float, begun: float) -> EpochRecord:
        val_loss, val_accuracy = self._graph.evaluate(*self._held_out)
        test_loss, test_wrong = None, None
        if self._watched is not None:
            test_loss, test_accuracy = self._graph.evaluate(*self._watched)
            test_wrong = round((1 - test_accuracy) * len(self._watched[1])) if math.isfinite(test_accuracy) else None
        return EpochRecord(
            epoch,
            totals.loss,
            val_loss,
            totals.accuracy,
            val_accuracy,
            rate,
            time.monotonic() - begun if begun else 0.0,
            totals.gradient_norms,
            test_loss,
            test_wrong,
        )

    def _tell(self, record: EpochRecord) -> None:
        self.history = (*self.history, record)
        self._hooks.on_epoch(View(self._graph, record, self.history))

    def _out_of_patience(self) -> bool:
        patience = self._config.patience
        return patience is not None and self._epoch - 1 - self.best.epoch >= patience and self.best.epoch > 0

    def _steps(self, batches: EpochBatches, rates: NDArray[np.float32], part: slice) -> Steps:
        done = (self._epoch - 1) * len(batches) + 1 + np.arange(part.start, part.stop)
        # A shorter memory at first, so that the random start is soon forgotten.
        keeps = np.minimum(AVERAGING, done / (done + 10)).astype(np.float32)
        return Steps(batches.order[part], batches.seeds[part], rates[part], keeps)

    def _state(self) -> TrainingState:
        variables = self._graph.get_state()
        return TrainingState(self._epoch, self._step, variables, self.history, self.best, self._spent)
