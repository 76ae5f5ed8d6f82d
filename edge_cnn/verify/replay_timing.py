"""A quick look at latency while a replay has the graph loaded anyway; `bench` is the one to quote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.protocols import Runtime
from edge_cnn.device.agent import time_runs

BUDGET_US = 300_000.0
MIN_RUNS, MAX_RUNS = 5, 100
"""Runs that are timed: as many as the budget holds, in these bounds."""


@runtime_checkable
class TimedThere(Protocol):
    """A runtime behind a pipe that can measure at its other end."""

    def time(self, inputs: Sequence[NDArray[Any]], *, warmup: int, repeats: int) -> NDArray[np.float64]:
        """As `AgentRuntime.time`."""
        ...


def time_briefly(opened: Runtime, sample: NDArray[Any]) -> tuple[float, ...]:
    """Latencies at batch 1 in microseconds, measured on the device itself, not through its pipe.

    Args:
        opened: a loaded graph.
        sample: an input of it, (1, ...).

    Raises:
        DataError, ModelError, DeviceUnavailableError, DeviceFailedError: as the graph's `run`.
    """
    # The first run warms the caches as well.
    (probe,) = _time(opened, sample, 1)
    runs = int(np.clip(BUDGET_US / max(probe, 1.0), MIN_RUNS, MAX_RUNS))
    return tuple(float(t) for t in _time(opened, sample, runs))


def _time(opened: Runtime, sample: NDArray[Any], repeats: int) -> NDArray[np.float64]:
    if isinstance(opened, TimedThere):
        return opened.time((sample,), warmup=2, repeats=repeats)
    time_runs(opened, (sample,), 2)
    return time_runs(opened, (sample,), repeats)
