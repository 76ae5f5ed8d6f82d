"""Cold start, latency and memory of an artifact on a device, always in a fresh process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import InputError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.verify.devices.device import Device

WARMUP = 20
"""Runs before the measured ones: caches, lazy allocations and the clock frequency settle."""

COLD_STARTS = 3
"""Fresh processes; their median is reported, since the first one also reads files from the disk."""


@dataclass(frozen=True)
class Input:
    """What is timed.

    Attributes:
        images: uint8 pixels or floats (1, ...), or None for random values of the input's shape.
        preprocessing: for pixels.
    """

    images: NDArray[Any] | None = None
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True)
class LatencyReport:
    """One artifact on one device.

    Attributes:
        artifact, device, runtime, kernels: their names; kernels is the family.
        threads: of the runtime.
        cold_start_ms: from the start of a process to its first output, in milliseconds, median of fresh processes.
        latencies_us: of each measured run at batch 1 in microseconds, float64 (repeats,).
        peak_memory_mb: largest resident set of the process, in MiB.
        emulated: an emulator ran it, so the times say nothing about the hardware.
    """

    artifact: str
    device: str
    runtime: str
    kernels: str
    threads: int
    cold_start_ms: float
    latencies_us: NDArray[np.float64]
    peak_memory_mb: float
    emulated: bool = False

    def percentile(self, share: float) -> float:
        """The latency in microseconds that `share`, in [0, 1], of the runs do not exceed (interpolated)."""
        return float(np.quantile(self.latencies_us, share))

    def to_json(self) -> dict[str, Any]:
        return {
            "artifact": self.artifact,
            "device": self.device,
            "runtime": self.runtime,
            "kernels": self.kernels,
            "threads": self.threads,
            "cold_start_ms": self.cold_start_ms,
            "p50": self.percentile(0.5),
            "p90": self.percentile(0.9),
            "p99": self.percentile(0.99),
            "peak_memory_mb": self.peak_memory_mb,
            "emulated": self.emulated,
            "repeats": len(self.latencies_us),
        }


def measure(
    artifact: Artifact,
    device: Device,
    runtime: str,
    *,
    threads: int = 1,
    repeats: int = 200,
    rng: np.random.Generator,
    sample: Input = Input(),
) -> LatencyReport:
    """Time an artifact at batch 1.

    Args:
        artifact: what runs.
        device: where; its own agent is not used, for a warm process has no cold start.
        runtime: RUNTIME name.
        threads: of the runtime.
        repeats: measured runs.
        rng: source of random inputs where `sample` has none.
        sample: what to run.

    Raises:
        InputError: `repeats` or `threads` is not positive.
        ModelError: the runtime refuses the artifact, or it has several inputs.
        DeviceUnavailableError, DeviceFailedError: the device is not there, or the artifact ended the process there.
    """
    if repeats < 1:
        raise InputError(f"repeats must be at least 1, got {repeats}")
    cold: list[float] = []
    for attempt in range(COLD_STARTS):
        start = time.perf_counter()
        with device.start_agent() as agent:
            opened = agent.open(artifact, runtime, threads)
            inputs = [_encoded(sample, spec, rng) for spec in opened.inputs]
            opened.run(inputs)
            cold.append((time.perf_counter() - start) * 1e3)
            if attempt < COLD_STARTS - 1:
                continue
            latencies = opened.time(inputs, warmup=WARMUP, repeats=repeats)
            return LatencyReport(
                artifact=artifact.name,
                device=device.name,
                runtime=opened.name,
                kernels=opened.kernels().family,
                threads=threads,
                cold_start_ms=float(np.median(cold)),
                latencies_us=latencies,
                peak_memory_mb=agent.peak_memory_mb(),
                emulated=device.emulated,
            )
    raise AssertionError("the last attempt returns")


def _encoded(sample: Input, spec: TensorSpec, rng: np.random.Generator) -> NDArray[Any]:
    if sample.images is not None:
        return InputEncoder(sample.preprocessing, spec).encode(sample.images[:1])
    # A dynamic dimension other than the batch has no size of its own; 1 is one that every graph takes or refuses.
    shape = (1, *(max(d, 1) for d in spec.shape[1:]))
    dtype = spec.numpy_dtype
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, int(limits.max) + 1, shape, dtype)
    return rng.random(shape, np.float32).astype(dtype)
