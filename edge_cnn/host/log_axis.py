"""A logarithmic axis that has a place for zero, and round values whose labels do not touch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BELOW, BELOW_FOR_ZERO, ABOVE = 0.1, 0.3, 0.05
"""Decades beyond the least and the largest value; a zero at the edge is told from the least value by more."""

LEAST = 1 / 3
"""Decades that an axis has at least, so that a flat curve has one."""

STEPS: tuple[tuple[float, ...], ...] = (
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)
"""Labels within a decade, from many to few."""


@dataclass(frozen=True)
class LogAxis:
    """From what is drawn to where the axis ends.

    Attributes:
        low, high: its ends.
        has_zero: whether `low` stands for zero.
    """

    low: float
    high: float
    has_zero: bool

    def placed(self, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """The values with zeros at the lower end: float64 (n,)."""
        given = np.asarray(values, np.float64)
        return np.where(given <= 0, self.low, given)

    def ticks(self, most: int) -> dict[float, str]:
        """Values to label, with their labels.

        Args:
            most: so many labels have room on the axis, one beside the other.
        """
        space = math.log10(self.high / self.low) / most
        found = {value: f"{value:g}" for value in round_values(self.low, self.high, most)}
        if not self.has_zero:
            return found
        return {self.low: "0"} | {v: text for v, text in found.items() if math.log10(v / self.low) >= space}


def log_axis(values: Sequence[float] | NDArray[np.float64]) -> LogAxis:
    """The axis for values from 0 on; what is not finite does not count."""
    given = np.asarray(values, np.float64)
    given = given[np.isfinite(given)]
    positive = given[given > 0]
    has_zero = bool((given <= 0).any())
    if len(positive) == 0:
        return LogAxis(0.1, 1.0, has_zero)
    low = math.log10(positive.min()) - (BELOW_FOR_ZERO if has_zero else BELOW)
    high = math.log10(positive.max()) + ABOVE
    if (missing := LEAST - (high - low)) > 0:
        low, high = (low, high + missing) if has_zero else (low - missing / 2, high + missing / 2)
    return LogAxis(10**low, 10**high, has_zero)


def round_values(low: float, high: float, most: int) -> list[float]:
    """Round values between two positive ones, as many as have room.

    Args:
        low, high: ends of the axis.
        most: so many labels have room, one beside the other; at least 3.
    """
    start, end = math.log10(low), math.log10(high)
    space = (end - start) / most
    steps, stride = STEPS[-1], max(1, math.ceil(space))
    for some in STEPS:
        if np.diff(np.log10([*some, 10])).min() >= space:
            steps, stride = some, 1
            break
    powers = [power for power in range(math.floor(start), math.ceil(end) + 1) if power % stride == 0]
    values = [step * 10.0**power if power >= 0 else step / 10.0**-power for power in powers for step in steps]
    return [value for value in values if low <= value <= high]
