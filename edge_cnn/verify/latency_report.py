"""What `bench` found for one artifact on one device with one number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.protocols import Kernels
from edge_cnn.device.runtimes.operator_times import OperatorTime
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.throttling import Throttling

OUTLIER_FACTOR = 3.0
"""Runs longer than this many medians are counted as outliers.

They stay in every percentile and in the throughput: what interrupts a run (other processes, interrupts, a governor that
wakes up) interrupts the application too, and dropping it would flatter p99. The count tells how much of p99 they are.
"""


@dataclass(frozen=True)
class ColdStart:
    """The parts of the time from nothing to the first output, in milliseconds, all measured on the device.

    Attributes:
        process_ms: the start of a Python process, up to its first line.
        import_ms: numpy, edge_cnn and the runtime.
        load_ms: reading the graph and laying out its tensors.
        first_inference_ms: the first run, which touches everything for the first time.
    """

    process_ms: float
    import_ms: float
    load_ms: float
    first_inference_ms: float

    @property
    def total_ms(self) -> float:
        return self.process_ms + self.import_ms + self.load_ms + self.first_inference_ms

    def to_json(self) -> dict[str, float]:
        return {
            "process_ms": self.process_ms,
            "import_ms": self.import_ms,
            "load_ms": self.load_ms,
            "first_inference_ms": self.first_inference_ms,
        }


@dataclass(frozen=True)
class Timing:
    """The times, which only a device that is not emulated has.

    Attributes:
        cold_start: of the median of some fresh processes.
        latencies_us: of each measured run at batch 1 in microseconds, float64 (repeats,), in their order.
        peak_memory_mb: largest resident set of the process, in MiB.
        throttling: signs that the device slowed down meanwhile.
        operators: time of each operator in the order of execution; None where it was not asked for or is not told.
        operators_reason: why there are none, where they were asked for.
    """

    cold_start: ColdStart
    latencies_us: NDArray[np.float64]
    peak_memory_mb: float
    throttling: Throttling
    operators: tuple[OperatorTime, ...] | None = None
    operators_reason: str = ""

    def percentile(self, share: float) -> float:
        """The latency in microseconds that `share`, in [0, 1], of the runs do not exceed (interpolated)."""
        return float(np.quantile(self.latencies_us, share))

    @property
    def outliers(self) -> int:
        """Runs above `OUTLIER_FACTOR` medians; they are part of all other figures."""
        return int((self.latencies_us > OUTLIER_FACTOR * np.median(self.latencies_us)).sum())

    @property
    def images_per_s(self) -> float:
        """Throughput at batch 1, one run after another, outliers included."""
        return 1e6 / float(self.latencies_us.mean())

    def to_json(self) -> dict[str, Any]:
        return {
            "cold_start_ms": self.cold_start.total_ms,
            "cold_start": self.cold_start.to_json(),
            "p50": self.percentile(0.5),
            "p90": self.percentile(0.9),
            "p99": self.percentile(0.99),
            "longest": float(self.latencies_us.max()),
            "outliers": self.outliers,
            "images_per_s": self.images_per_s,
            "peak_memory_mb": self.peak_memory_mb,
            "throttling": self.throttling.to_json(),
            "operators": None if self.operators is None else [o.to_json() for o in self.operators],
            "operators_reason": self.operators_reason or None,
            "repeats": len(self.latencies_us),
        }


_NO_TIMING: dict[str, Any] = {
    **dict.fromkeys(("cold_start_ms", "cold_start", "p50", "p90", "p99", "longest", "outliers", "images_per_s")),
    **dict.fromkeys(("peak_memory_mb", "throttling", "operators", "operators_reason")),
    "repeats": 0,
}
"""Of an emulated device. Its memory is left out as well: it is the emulator's."""


@dataclass(frozen=True)
class LatencyReport:
    """One artifact on one device.

    Attributes:
        artifact, device, runtime, version: their names, and the version of the runtime.
        kernels: which kernels ran which share of the operators.
        threads: of the runtime.
        facts: the machine; under an emulator, the one that it plays.
        timing: None under an emulator, whose times say nothing about the hardware.
    """

    artifact: str
    device: str
    runtime: str
    version: str
    kernels: Kernels
    threads: int
    facts: DeviceFacts
    timing: Timing | None

    @property
    def emulated(self) -> bool:
        return self.timing is None

    def to_json(self) -> dict[str, Any]:
        return {
            "artifact": self.artifact,
            "device": self.device,
            "runtime": self.runtime,
            "runtime_version": self.version,
            "kernels": self.kernels.family,
            "residency": self.kernels.shares,
            "threads": self.threads,
            "machine": self.facts.to_json(),
            "emulated": self.emulated,
            **(_NO_TIMING if self.timing is None else self.timing.to_json()),
        }
