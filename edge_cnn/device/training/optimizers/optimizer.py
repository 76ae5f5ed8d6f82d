"""What every optimizer is: a function that goes through the data again and again and tells where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.device.training.problem import HeadProblem, Parameters

State = dict[str, NDArray[Any]]
"""What a descent carries from one pass to the next, numbers as arrays of no dimensions: `numpy.savez` keeps it."""


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
            ("epochs", self.passes, self.passes >= 1, "at least 1"),
            ("tolerance", self.tolerance, 0 < self.tolerance < 1, "between 0 and 1"),
            ("learning rate", self.learning_rate, is_positive(self.learning_rate), "positive and finite"),
            ("batch size", self.batch_size, self.batch_size >= 1, "at least 1"),
            ("momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1)"),
            ("memory", self.memory, self.memory >= 1, "positive"),
        )
        refuse(checks)


def is_positive(value: float | None) -> bool:
    """Whether a setting that may be left out is a positive number below infinity where it is given."""
    return value is None or 0 < value < np.inf


def refuse(checks: Iterable[tuple[str, object, bool, str]]) -> None:
    """Raise for the first setting, (name, value, whether it is fine, what is wanted), that is not fine.

    Raises:
        InputError: there is one.
    """
    for name, value, fine, wanted in checks:
        if not fine:
            raise InputError(f"fine-tuning: {name} must be {wanted}, got {value}; change it")


@dataclass(frozen=True)
class Pass:
    """Where an optimizer is after it has seen the data once more.

    Attributes:
        parameters: float32 (classes, features + 1); not written to afterwards.
        loss: the problem's loss there, of the part in a warm-up, for mini-batches its mean over the steps of the pass.
        steps: taken so far.
        learning_rate: of the first step.
        state: copies what the next pass needs; to be called before that one begins, or not at all.
        warm_up: whether it saw a part of the data only, so that it says little if the held-out loss does not fall.
    """

    parameters: Parameters
    loss: float
    steps: int
    learning_rate: float
    state: Callable[[], State]
    warm_up: bool = False


class Optimizer(Protocol):
    """A descent from `start`; it yields after each pass and ends by itself where there is nothing left to gain."""

    def __call__(
        self,
        problem: HeadProblem,
        start: Parameters,
        settings: OptimizerSettings,
        rng: np.random.Generator,
        resumed: State | None = None,
    ) -> Iterator[Pass]:
        """From a pass's state on, with the same problem and settings and an `rng` that has come as far, it goes on with
        the very bits that the passes after that one would have had.

        Raises:
            InputError: the loss grows without bound, or `resumed` is not of such a descent.
        """
        ...


def array_of(state: State, name: str, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """A copy of an array of a state. Raises: InputError: it is not there, or not of that shape and type."""
    found = state.get(name)
    if found is None or found.shape != shape or found.dtype != dtype:
        got = "missing" if found is None else f"{found.dtype} {found.shape}"
        raise InputError(
            f"saved training does not fit: {name!r} is {got}, not {np.dtype(dtype)} {shape}; start it anew"
        )
    return found.copy()


def number_of(state: State, name: str) -> float:
    """A number of a state. Raises: InputError: it is not there."""
    return float(array_of(state, name, (), np.float64))


def count_of(state: State, name: str, most: float = np.inf) -> int:
    """A whole number of a state. Raises: InputError: it is not there, or not from 0 to `most`."""
    count = int(array_of(state, name, (), np.int64))
    if not 0 <= count <= most:
        raise InputError(f"saved training does not fit: {name!r} is {count}; start it anew")
    return count
