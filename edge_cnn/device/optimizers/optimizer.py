"""What every optimizer is: a function that goes through the data again and again and tells where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_cnn.core.errors import InputError
from edge_cnn.device.head_problem import HeadProblem, Parameters


@dataclass(frozen=True)
class OptimizerSettings:
    """What the optimizers are told; each takes what it knows.

    Attributes:
        passes: over the data at most; mini-batches let their step decay to 0 by then.
        tolerance: a full-batch descent ends where the loss is proven to be at most this share above its minimum.
        learning_rate: None takes the step from the curvature.
        batch_size: samples a mini-batch step.
        momentum: share of the last mini-batch step that is kept, in [0, 1).
        memory: bytes that the optimizer may use for what it remembers.
    """

    passes: int = 100
    tolerance: float = 0.01
    learning_rate: float | None = None
    batch_size: int = 32
    momentum: float = 0.9
    memory: int = 2**24

    def __post_init__(self) -> None:
        checks = (
            ("epochs", self.passes >= 1, "at least 1"),
            ("tolerance", 0 < self.tolerance < 1, "between 0 and 1"),
            ("learning rate", self.learning_rate is None or 0 < self.learning_rate < np.inf, "positive"),
            ("batch size", self.batch_size >= 1, "at least 1"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("memory", self.memory >= 1, "positive"),
        )
        for name, fine, wanted in checks:
            if not fine:
                raise InputError(f"fine-tuning: {name} must be {wanted}; change it")


@dataclass(frozen=True)
class Pass:
    """Where an optimizer is after it has seen the data once more.

    Attributes:
        parameters: float32 (classes, features + 1); not written to afterwards.
        loss: the problem's loss there, or for mini-batches its mean over the steps of the pass.
        steps: taken so far.
        learning_rate: of the first step.
    """

    parameters: Parameters
    loss: float
    steps: int
    learning_rate: float


class Optimizer(Protocol):
    """A descent from `start`; it yields after each pass and ends by itself where there is nothing left to gain."""

    def __call__(
        self, problem: HeadProblem, start: Parameters, settings: OptimizerSettings, rng: np.random.Generator
    ) -> Iterator[Pass]:
        """Raises: InputError: the loss grows without bound."""
        ...
