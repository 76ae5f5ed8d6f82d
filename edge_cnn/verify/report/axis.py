"""An axis: where values lie on it, and round values to mark it with."""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, which is larger."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where `value` lies: 0 at the low end, 1 at the high end; values beyond lie on the ends."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def ticks(self, most: int = 6, least_step: float = 0.0) -> list[float]:
        """The multiples of 1, 2 or 5 times a power of ten on the axis, no closer than `least_step`.

        Args:
            most: of them, 6 or more, so that there are two at least where `least_step` allows it.
            least_step: 1 for what is counted.
        """
        least = max((self.high - self.low) / (most - 1), least_step)
        power = 10.0 ** math.floor(math.log10(least))
        # A hair of room, for 0.3 / 3 is less than 0.1 in floats.
        step = next(m * power for m in _STEPS if m * power >= least * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def axis_around(values: list[float], floor: float, ceiling: float = math.inf) -> Axis:
    """An axis that shows all `values` (at least one) with a little room, within `floor` and `ceiling`."""
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), 0.02 * max(abs(low), abs(high)), 1e-9)
    return Axis(max(low - room, floor), min(high + room, ceiling))


def tick_texts(ticks: list[float], scale: float = 1.0) -> list[str]:
    """The ticks times `scale`, all with as many decimals as their step needs."""
    step = (ticks[1] - ticks[0]) * scale if len(ticks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick * scale + 0.0:.{decimals}f}" for tick in ticks]
