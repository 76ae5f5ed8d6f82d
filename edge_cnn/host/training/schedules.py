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
"""Where the cosine ends, as a share of the peak."""


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


SCHEDULES: dict[str, ShareOfPeak] = {"cosine": _cosine, "constant": _constant}


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
