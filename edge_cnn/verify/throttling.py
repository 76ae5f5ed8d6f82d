"""Did the device slow down while it was measured? What its sensors say, and what the latencies say themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRIFT_NOTICED = 1.1
"""Last tenth of the runs over the first, medians: beyond what neighbours on a busy machine do to a median of tenths."""

MIN_RUNS = 100
"""For fewer runs, a tenth has too few for a median that means anything."""

FREQUENCY_NOTICED = 0.9
"""Clock after over clock before; governors move a clock by a step or so without being hot."""


@dataclass(frozen=True)
class ThrottleState:
    """One moment; empty or None where the system does not tell.

    Attributes:
        temperature_c: sensor -> degrees Celsius.
        frequency_mhz: core -> MHz.
        max_frequency_mhz: of the fastest core.
        events: throttle events that the kernel counted since it started.
        firmware: what a Raspberry Pi's firmware reports to hold, as ("throttled",).
    """

    temperature_c: dict[str, float]
    frequency_mhz: dict[str, float]
    max_frequency_mhz: float | None
    events: int | None
    firmware: tuple[str, ...] | None

    @property
    def hottest(self) -> float | None:
        return max(self.temperature_c.values(), default=None)

    @property
    def fastest(self) -> float | None:
        """Clock of the fastest core in MHz: the one that works, the others may rest."""
        return max(self.frequency_mhz.values(), default=None)

    def to_json(self) -> dict[str, Any]:
        return {
            "temperature_c": self.temperature_c,
            "frequency_mhz": self.frequency_mhz,
            "max_frequency_mhz": self.max_frequency_mhz,
            "events": self.events,
            "firmware": None if self.firmware is None else list(self.firmware),
        }

    @staticmethod
    def from_header(header: dict[str, Any]) -> ThrottleState:
        fastest, events, firmware = header["max_frequency_mhz"], header["events"], header["firmware"]
        return ThrottleState(
            {str(k): float(v) for k, v in header["temperature_c"].items()},
            {str(k): float(v) for k, v in header["frequency_mhz"].items()},
            None if fastest is None else float(fastest),
            None if events is None else int(events),
            None if firmware is None else tuple(str(words) for words in firmware),
        )


@dataclass(frozen=True)
class Throttling:
    """The comparison of before and after.

    Attributes:
        drift: median latency of the last tenth of the runs over that of the first; None for fewer than `MIN_RUNS` runs.
        noticed: signs that the device slowed down, in words; empty for none.
        sensors: what the sensors said, in words.
        before, after: the moments.
    """

    drift: float | None
    noticed: tuple[str, ...]
    sensors: str
    before: ThrottleState
    after: ThrottleState

    def in_words(self) -> str:
        """For a person."""
        verdict = "; ".join(self.noticed) if self.noticed else "none noticed"
        drift = ""
        if self.drift is not None and not self.noticed:
            drift = f", the last tenth of the runs took {_percent(self.drift)} the first"
        return f"{verdict}{drift} ({self.sensors})"

    def to_json(self) -> dict[str, Any]:
        return {
            "noticed": bool(self.noticed),
            "words": self.in_words(),
            "drift": self.drift,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }


def judge_throttling(latencies: NDArray[np.float64], before: ThrottleState, after: ThrottleState) -> Throttling:
    """Compare.

    Args:
        latencies: float64 (runs,) in the order in which they ran.
        before, after: the device around them.
    """
    noticed: list[str] = []
    drift = measure_drift(latencies)
    if drift is not None and drift > DRIFT_NOTICED:
        noticed.append(
            f"the last tenth of the runs took {_percent(drift)} the first: throttling, or other work on the device"
        )
    if before.events is not None and after.events is not None and after.events > before.events:
        noticed.append(f"the kernel counted {after.events - before.events} throttle events")
    if after.firmware:
        noticed.append(f"the firmware reports: {', '.join(after.firmware)}")
    if before.fastest and after.fastest and after.fastest < FREQUENCY_NOTICED * before.fastest:
        noticed.append(f"the clock fell from {before.fastest:.0f} to {after.fastest:.0f} MHz")
    return Throttling(drift, tuple(noticed), _sensors(before, after), before, after)


def measure_drift(latencies: NDArray[np.float64]) -> float | None:
    """Median of the last tenth over the median of the first; None for fewer than `MIN_RUNS` runs."""
    if len(latencies) < MIN_RUNS:
        return None
    tenth = len(latencies) // 10
    return float(np.median(latencies[-tenth:]) / np.median(latencies[:tenth]))


def _sensors(before: ThrottleState, after: ThrottleState) -> str:
    told: list[str] = []
    if before.hottest is not None and after.hottest is not None:
        told.append(f"{before.hottest:.0f} -> {after.hottest:.0f} °C")
    if before.fastest is not None and after.fastest is not None:
        limit = f" of {after.max_frequency_mhz:.0f}" if after.max_frequency_mhz is not None else ""
        told.append(f"{before.fastest:.0f} -> {after.fastest:.0f}{limit} MHz")
    return ", ".join(told) or "no temperature or clock to read"


def _percent(drift: float) -> str:
    change = 100 * (drift - 1)
    if abs(change) < 1:
        return "as long as"
    return f"{abs(change):.0f}% {'longer' if change >= 0 else 'shorter'} than"
