"""Cold start, latency and memory of an artifact on a device, always in a fresh process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import InputError, RuntimeUnavailableError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.device.runtimes.operator_times import OperatorTime
from edge_cnn.verify.agent_client import AgentClient
from edge_cnn.verify.agent_runtime import AgentRuntime
from edge_cnn.verify.devices.device import Device
from edge_cnn.verify.latency_report import ColdStart, LatencyReport, Timing
from edge_cnn.verify.throttling import judge_throttling

WARMUP = 20
"""Runs before the measured ones: caches, lazy allocations and the clock frequency settle."""

COLD_STARTS = 3
"""Fresh processes; the median one is reported, since the first one also reads files from the disk."""

PROFILED_WARMUP, PROFILED_RUNS = 5, 50
"""A median of so many is steady, and a profile of more grows to megabytes on a board."""

SECONDS_A_REQUEST = 20.0
RUNS_A_REQUEST = 100_000
"""Many runs are asked for in parts, so that a request stays below the time that a hang is told by."""


@dataclass(frozen=True)
class Input:
    """What is timed.

    Attributes:
        images: uint8 pixels or floats (1, ...), or None for random values of the input's shape.
        preprocessing: for pixels.
    """

    images: NDArray[Any] | None = None
    preprocessing: Preprocessing | None = None


def measure(
    artifact: Artifact,
    device: Device,
    runtime: str,
    *,
    threads: int = 1,
    repeats: int = 200,
    per_operator: bool = False,
    rng: np.random.Generator,
    sample: Input = Input(),
) -> LatencyReport:
    """Time an artifact at batch 1; on an emulated device, only run it.

    Args:
        artifact: what runs.
        device: where; its own agent is not used, for a warm process has no cold start.
        runtime: RUNTIME name.
        threads: of the runtime.
        repeats: measured runs.
        per_operator: also ask the runtime's profiler, in runs of their own.
        rng: source of random inputs where `sample` has none.
        sample: what to run.

    Raises:
        InputError: `repeats` or `threads` is not positive.
        ModelError: the runtime refuses the artifact, or it has several inputs.
        DeviceUnavailableError, DeviceFailedError: the device is not there, or the artifact ended the process there.
    """
    if repeats < 1:
        raise InputError(f"repeats must be at least 1, got {repeats}")
    case = _Case(artifact, runtime, threads, sample, rng)
    starts: list[ColdStart] = []
    for _ in range(0 if device.emulated else COLD_STARTS - 1):
        with device.start_agent() as agent:
            starts.append(_cold_start(agent, *_open(agent, case)))
    with device.start_agent() as agent:
        opened, inputs = _open(agent, case)
        if device.emulated:
            opened.run(inputs)
            timing = None
        else:
            starts.append(_cold_start(agent, opened, inputs))
            timing = _timing(agent, case, opened, inputs, starts, repeats, per_operator=per_operator)
        return LatencyReport(
            artifact=artifact.name,
            device=device.name,
            runtime=opened.name,
            version=opened.version,
            kernels=opened.kernels(),
            threads=threads,
            facts=agent.facts,
            timing=timing,
        )


@dataclass(frozen=True)
class _Case:
    artifact: Artifact
    runtime: str
    threads: int
    sample: Input
    rng: np.random.Generator


def _open(agent: AgentClient, case: _Case) -> tuple[AgentRuntime, list[NDArray[Any]]]:
    opened = agent.open(case.artifact, case.runtime, case.threads)
    return opened, [_encoded(case.sample, spec, case.rng) for spec in opened.inputs]


def _cold_start(agent: AgentClient, opened: AgentRuntime, inputs: Sequence[NDArray[Any]]) -> ColdStart:
    first_us = opened.time_once(inputs)
    return ColdStart(
        process_ms=float(agent.start_times_ms(1)[0]),
        import_ms=agent.facts.imports_ms + opened.import_ms,
        load_ms=opened.load_ms,
        first_inference_ms=first_us / 1e3,
    )


def _timing(
    agent: AgentClient,
    case: _Case,
    opened: AgentRuntime,
    inputs: Sequence[NDArray[Any]],
    starts: list[ColdStart],
    repeats: int,
    *,
    per_operator: bool,
) -> Timing:
    # The first run is hardly ever the fastest, so this is the least that fits into the time.
    seconds = min(SECONDS_A_REQUEST, agent.limit_s / 4)
    at_once = max(1, min(RUNS_A_REQUEST, int(seconds * 1e3 / starts[-1].first_inference_ms)))
    before = agent.throttle_state()
    latencies = _time(opened, inputs, repeats, at_once)
    after = agent.throttle_state()
    # Before the profiler, whose events would count as memory of the model.
    memory = agent.peak_memory_mb()
    operators, reason = _profile(agent, case, inputs, min(repeats, at_once)) if per_operator else (None, "")
    return Timing(
        cold_start=sorted(starts, key=lambda start: start.total_ms)[len(starts) // 2],
        latencies_us=latencies,
        peak_memory_mb=memory,
        throttling=judge_throttling(latencies, before, after),
        operators=operators,
        operators_reason=reason,
    )


def _time(opened: AgentRuntime, inputs: Sequence[NDArray[Any]], repeats: int, at_once: int) -> NDArray[np.float64]:
    parts: list[NDArray[np.float64]] = []
    for start in range(0, repeats, at_once):
        # A request in the middle finds the caches cooled by the conversation, hence one run to warm them.
        warmup = 1 if start else min(WARMUP, at_once)
        parts.append(opened.time(inputs, warmup=warmup, repeats=min(at_once, repeats - start)))
    return np.concatenate(parts)


def _profile(
    agent: AgentClient, case: _Case, inputs: Sequence[NDArray[Any]], most: int
) -> tuple[tuple[OperatorTime, ...] | None, str]:
    """Times of operators, or None and why there are none."""
    runs = min(most, PROFILED_RUNS)
    warmup = min(most, PROFILED_WARMUP)
    try:
        times = agent.profile(case.artifact, case.runtime, inputs, threads=case.threads, warmup=warmup, repeats=runs)
    except RuntimeUnavailableError as error:
        return None, str(error)
    return times, ""


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
