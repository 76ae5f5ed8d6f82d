"""The course of the learning rate: the rate of every step, a pure function of the epoch and of what was seen so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from edge_cnn.host.training.records import EpochRecord

LAST_RATE = 0.01
"""Where the cosine ends, and below what a plateau does not lower it: as a share of the peak."""

STEP_FACTOR, STEP_PLACES = 0.1, (0.5, 0.75)
"""`step` multiplies the rate by this when these shares of the steps are done (He et al. 2016 on CIFAR-10)."""

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.3, 4
"""`plateau` multiplies the rate by this after so many epochs without a lower validation loss."""


@dataclass(frozen=True)
class Course:
    """What a schedule may look at.

    Attributes:
        epochs: of the whole training, at most.
        steps: of an epoch.
        warm_up: steps of the whole training in which the rate rises linearly; Adam's first steps have little to
            average over.
    """

    epochs: int
    steps: int
    warm_up: int


ShareOfPeak = Callable[[Course, int, Sequence["EpochRecord"]], NDArray[np.float64]]
"""Course, epoch from 1, records of the epochs before it -> rate of each of its steps, as a share of the peak."""


def _cosine(course: Course, epoch: int, history: Sequence[EpochRecord]) -> NDArray[np.float64]:
    """Half a cosine from the end of the warm-up to the end of the training (Loshchilov and Hutter 2017)."""
    del history
    step = (epoch - 1) * course.steps + np.arange(course.steps)
    done = np.maximum(step - course.warm_up, 0) / max(1, course.epochs * course.steps - course.warm_up)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + np.cos(np.pi * done))


def _constant(course: Course, epoch: int, history: Sequence[EpochRecord]) -> NDArray[np.float64]:
    """The same all the time."""
    del epoch, history
    return np.ones(course.steps)


def _step(course: Course, epoch: int, history: Sequence[EpochRecord]) -> NDArray[np.float64]:
    """Down by a factor at fixed places."""
    del history
    step = (epoch - 1) * course.steps + np.arange(course.steps)
    places = np.array(STEP_PLACES) * course.epochs * course.steps
    return STEP_FACTOR ** (step[:, None] >= places).sum(axis=1, dtype=np.float64)


def _plateau(course: Course, epoch: int, history: Sequence[EpochRecord]) -> NDArray[np.float64]:
    """Down by a factor each time that the validation loss has not fallen for a while, counted anew after each.

    Read from the history alone, so that a training that goes on in the middle has the same rates.
    """
    share, lowest, waited = 1.0, math.inf, 0
    for record in history[1:epoch]:
        if record.val_loss < lowest:
            lowest, waited = record.val_loss, 0
            continue
        waited += 1
        if waited >= PLATEAU_PATIENCE:
            share, waited = max(share * PLATEAU_FACTOR, LAST_RATE), 0
    return np.full(course.steps, share)


SCHEDULES: dict[str, ShareOfPeak] = {"cosine": _cosine, "constant": _constant, "step": _step, "plateau": _plateau}


def find_schedule(name: str) -> ShareOfPeak:
    """Raises: InputError: unknown name."""
    if name not in SCHEDULES:
        raise InputError(f"unknown schedule {name!r}; known: {', '.join(SCHEDULES)}")
    return SCHEDULES[name]


def warm_up_steps(share: float, epochs: int, steps: int) -> int:
    """Steps of the warm-up, for a share of the whole training."""
    return math.ceil(share * epochs * steps)


def learning_rates(
    schedule: str, peak: float, course: Course, epoch: int, history: Sequence[EpochRecord]
) -> NDArray[np.float32]:
    """Rates of the steps of an epoch: float32 (steps,).

    Args:
        schedule: a row of `SCHEDULES`.
        peak: largest rate.
        course: how long the training is.
        epoch: from 1.
        history: records of epochs 0 .. epoch - 1.

    Raises:
        InputError: unknown schedule.
    """
    step = (epoch - 1) * course.steps + np.arange(course.steps)
    rise = np.minimum((step + 1) / max(1, course.warm_up), 1.0)
    return (peak * rise * find_schedule(schedule)(course, epoch, history)).astype(np.float32)
