"""How far training has come: what it knows between two passes, and that as arrays which a file can keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edge_cnn.core.errors import InputError
from edge_cnn.device.training.optimizers.optimizer import Pass, State, array_of, count_of, number_of
from edge_cnn.device.training.problem import Parameters

OF_OPTIMIZER = "optimizer."
"""Goes before the names of the optimizer's own arrays."""


@dataclass(frozen=True)
class EpochLoss:
    """One pass: number from 1, training loss with L2; cross-entropy and accuracy of held-out data, NaN without any."""

    epoch: int
    loss: float
    holdout_loss: float
    holdout_accuracy: float


@dataclass
class TrainingProgress:
    """Changed by each pass.

    Attributes:
        optimizer: its name.
        last: parameters after the last pass, or the start.
        best: those with the lowest held-out loss so far, or the start.
        best_loss: that loss in nats, infinite without any.
        stale: passes since, but for a warm-up's.
        steps: gradient steps taken.
        learning_rate: of the first step.
        history: one entry a pass.
    """

    optimizer: str
    last: Parameters
    best: Parameters
    best_loss: float = np.inf
    stale: int = 0
    steps: int = 0
    learning_rate: float = 0.0
    history: list[EpochLoss] = field(default_factory=list[EpochLoss])

    @property
    def best_pass(self) -> int:
        """Number of the pass that `best` is of, from 1; 0 is the start."""
        losses = (epoch.holdout_loss for epoch in self.history)
        return next((number for number, loss in enumerate(losses, 1) if loss == self.best_loss), 0)

    def add(self, done: Pass, watched: tuple[float, float] | None) -> EpochLoss:
        """Take a pass in, with the held-out loss and accuracy after it where there is held-out data."""
        if not self.history:
            self.learning_rate = done.learning_rate
        self.last, self.steps = done.parameters, done.steps
        self.history.append(EpochLoss(len(self.history) + 1, done.loss, *(watched or (float("nan"), float("nan")))))
        if watched is not None and watched[0] < self.best_loss:
            self.best, self.best_loss, self.stale = done.parameters, watched[0], 0
        elif watched is not None and not done.warm_up:
            self.stale += 1
        return self.history[-1]

    def state(self, descent: Callable[[], State], rng: np.random.Generator) -> State:
        """Copies of all that training goes on from: this, the optimizer's own state, and the generator's."""
        losses = [(epoch.loss, epoch.holdout_loss, epoch.holdout_accuracy) for epoch in self.history]
        # A number of 128 bits is in no array of numbers.
        generator = json.dumps(rng.bit_generator.state).encode()
        return {OF_OPTIMIZER + name: values for name, values in descent().items()} | {
            "optimizer": np.array(self.optimizer),
            "last": self.last.copy(),
            "best": self.best.copy(),
            "best_loss": np.array(self.best_loss, np.float64),
            "stale": np.array(self.stale, np.int64),
            "steps": np.array(self.steps, np.int64),
            "learning_rate": np.array(self.learning_rate, np.float64),
            "passes": np.array(len(losses), np.int64),
            "history": np.array(losses, np.float64),
            "generator": np.frombuffer(generator, np.uint8).copy(),
        }


def resume(
    state: State, optimizer: str, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[TrainingProgress, State]:
    """What `TrainingProgress.state` gave -> the progress and the optimizer's own state; `rng` is put where it was.

    Args:
        state: arrays of `TrainingProgress.state`.
        optimizer: name of the one that is to go on.
        shape: of the parameters.
        rng: a generator of the same kind.

    Raises:
        InputError: something is missing, or is not of this optimizer, these shapes or this kind of generator.
    """
    saved = str(state.get("optimizer", "nothing"))
    if saved != optimizer:
        raise InputError(f"saved training does not fit: it is of {saved}, not of {optimizer}; start it anew")
    losses = array_of(state, "history", (count_of(state, "passes"), 3), np.float64)
    progress = TrainingProgress(
        optimizer,
        array_of(state, "last", shape),
        array_of(state, "best", shape),
        number_of(state, "best_loss"),
        count_of(state, "stale"),
        count_of(state, "steps"),
        number_of(state, "learning_rate"),
        [EpochLoss(number, *(float(value) for value in row)) for number, row in enumerate(losses, 1)],
    )
    generator = state.get("generator", np.empty(0, np.uint8))
    try:
        rng.bit_generator.state = json.loads(generator.tobytes())
    except (ValueError, TypeError, KeyError):
        kind = type(rng.bit_generator).__name__
        raise InputError(
            f"saved training does not fit: it holds no state of a {kind} generator; start it anew"
        ) from None
    own = {name.removeprefix(OF_OPTIMIZER): state[name] for name in state if name.startswith(OF_OPTIMIZER)}
    return progress, own
