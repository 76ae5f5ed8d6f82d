"""`python -m edge_cnn.device.agent`: runs artifacts for a host that talks to it over stdin and stdout.

It is started once and fed with messages (`agent_protocol`), so that a replay of many samples pays for one start. It
needs numpy and the light runtimes that are installed beside it, nothing else.

    open     {name, format, runtime, threads} + bytes  -> {id, runtime, version, kernels, inputs, outputs, import_ms,
                                                           load_ms}
    run      {id} + inputs                             -> {us} + outputs
    time     {id, warmup, repeats} + inputs            -> latencies in microseconds, float64 (repeats,)
    profile  {name, format, runtime, threads, warmup, repeats} + bytes + inputs  -> {operators}
    close    {id}                                      -> {}
    memory   {}                                        -> {peak_memory_mb}
    start    {repeats}                                 -> milliseconds that a Python takes to start, float64 (repeats,)
    throttle {}                                        -> temperatures, frequencies, throttle events

The first message is the agent's own: {protocol, edge_cnn, python, machine, runtimes, imports_ms, cpu, cores, features,
memory_mb}. An answer with {error, kind} means that the request failed; the agent goes on. It ends when its stdin is
closed.
"""

# ruff: noqa: E402  # the imports below are timed, so the clock is read before them
from __future__ import annotations

import time

STARTED_NS = time.perf_counter_ns()

import os
import platform
import signal
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn import __version__
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DataError, DeviceFailedError, EdgeCnnError, InputError, RuntimeUnavailableError
from edge_cnn.core.protocols import Runtime
from edge_cnn.device.agent_protocol import PROTOCOL_VERSION, Message, read_message, write_message
from edge_cnn.device.runtimes.table import RUNTIMES, open_runtime
from edge_cnn.device.start_times import import_runtime, time_starts

IMPORTED_NS = time.perf_counter_ns()

MAX_REPEATS = 1_000_000
MAX_PROFILED_RUNS = 1_000
"""A profile has an event a node and run, some 700 bytes each."""
MAX_STARTS = 20


class Agent:
    """Holds the open artifacts and answers requests."""

    def __init__(self) -> None:
        self._opened: dict[int, Runtime] = {}
        self._next_id = 0

    def answer(self, request: Message) -> Message:
        """One request -> one answer.

        Raises:
            EdgeCnnError: the request cannot be done; the agent stays usable.
        """
        match request.header.get("op"):
            case "open":
                return self._open(request)
            case "run":
                return self._run(request)
            case "time":
                return self._time(request)
            case "profile":
                return _profile(request)
            case "close":
                self._opened.pop(_integer(request, "id"), None)
                return Message({})
            case "memory":
                return Message({"peak_memory_mb": peak_memory_mb()})
            case "start":
                return Message({}, (time_starts(_integer(request, "repeats", 1, MAX_STARTS)),))
            case "throttle":
                from edge_cnn.device.throttle_state import read_throttle_state

                return Message(read_throttle_state())
            case other:
                raise InputError(f"the agent knows no request {other!r}; update edge_cnn on the device")

    def _open(self, request: Message) -> Message:
        header = request.header
        if len(request.arrays) != 1:
            raise InputError(f"'open' takes the bytes of one artifact, got {len(request.arrays)} arrays")
        artifact = _artifact(request)
        threads = _integer(request, "threads")
        asked = time.perf_counter_ns()
        import_runtime(header.get("runtime"))
        imported = time.perf_counter_ns()
        runtime = open_runtime(artifact, header.get("runtime"), threads=threads)
        loaded = time.perf_counter_ns()
        self._opened[self._next_id] = runtime
        self._next_id += 1
        kernels = runtime.kernels()
        return Message(
            {
                "id": self._next_id - 1,
                "runtime": runtime.name,
                "version": runtime.version,
                "kernels": {
                    "family": kernels.family,
                    "shares": kernels.shares,
                    "arena_bytes": kernels.arena_bytes,
                },
                "inputs": [spec.to_json() for spec in runtime.inputs],
                "outputs": [spec.to_json() for spec in runtime.outputs],
                "import_ms": (imported - asked) / 1e6,
                "load_ms": (loaded - imported) / 1e6,
            }
        )

    def _run(self, request: Message) -> Message:
        runtime = self._runtime(request)
        start = time.perf_counter_ns()
        outputs = runtime.run(request.arrays)
        return Message({"us": (time.perf_counter_ns() - start) / 1e3}, tuple(outputs))

    def _time(self, request: Message) -> Message:
        runtime, repeats = self._runtime(request), _integer(request, "repeats", 1, MAX_REPEATS)
        for _ in range(_integer(request, "warmup")):
            runtime.run(request.arrays)
        return Message({}, (time_runs(runtime, request.arrays, repeats),))

    def _runtime(self, request: Message) -> Runtime:
        number = _integer(request, "id")
        if number not in self._opened:
            raise InputError(f"the agent has no open artifact {number}; open it first")
        return self._opened[number]


def _artifact(request: Message) -> Artifact:
    return Artifact(str(request.header["name"]), str(request.header["format"]), request.arrays[0].tobytes())


def _profile(request: Message) -> Message:
    from edge_cnn.device.runtimes.operator_times import profile_operators

    times = profile_operators(
        _artifact(request),
        str(request.header["runtime"]),
        request.arrays[1:],
        threads=_integer(request, "threads"),
        warmup=_integer(request, "warmup", 0, MAX_PROFILED_RUNS),
        repeats=_integer(request, "repeats", 1, MAX_PROFILED_RUNS),
    )
    return Message({"operators": [operator.to_json() for operator in times]})


def _integer(request: Message, key: str, lowest: int | None = None, highest: int | None = None) -> int:
    value = request.header.get(key)
    if not isinstance(value, int):
        raise InputError(f"the request's {key!r} must be an integer, got {value!r}")
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        raise InputError(f"{key} must be {lowest}..{highest}, got {value}")
    return value


def time_runs(runtime: Runtime, inputs: tuple[NDArray[Any], ...], repeats: int) -> NDArray[np.float64]:
    """Latency of each of `repeats` runs in microseconds, float64 (repeats,)."""
    run, clock = runtime.run, time.perf_counter_ns
    latencies = np.empty(repeats, np.float64)
    for i in range(repeats):
        start = clock()
        run(inputs)
        latencies[i] = clock() - start
    return latencies / 1e3


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum survives exec, so a child of a large host would report the host's size.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def greeting() -> dict[str, Any]:
    """What the agent says first."""
    from edge_cnn.device.machine import describe_machine

    return {
        "protocol": PROTOCOL_VERSION,
        "edge_cnn": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "runtimes": [row.name for row in RUNTIMES.values() if row.is_installed()],
        "imports_ms": (IMPORTED_NS - STARTED_NS) / 1e6,
        **describe_machine(),
    }


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Greet, then answer until `requests` ends.

    Raises:
        DeviceUnavailableError: the host sent something that is no message; nothing sensible can follow.
    """
    agent = Agent()
    write_message(answers, greeting())
    while (request := read_message(requests)) is not None:
        answer = _answer(agent, request)
        write_message(answers, answer.header, answer.arrays)


def _answer(agent: Agent, request: Message) -> Message:
    """What the agent answers; a failure is an answer too, and the host may go on with another artifact."""
    try:
        return agent.answer(request)
    except EdgeCnnError as error:
        failure = error
    except MemoryError as error:
        # Most systems kill the process instead; where an allocation fails in time, the agent can go on.
        failure = DeviceFailedError(f"out of memory: {error or 'an allocation failed'}; try fewer threads or samples")
    except ImportError as error:
        failure = RuntimeUnavailableError(
            f"a runtime is installed and cannot be imported: {error}; install it anew on the device"
        )
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        # What a runtime throws while it runs.
        failure = DataError(f"{type(error).__name__}: {error}")
    return Message({"error": str(failure), "kind": type(failure).__name__})


def main() -> int:
    """Serve the process's own stdin and stdout."""
    # Runtimes print to stdout as they please: keep the real one for messages and point fd 1 at stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    # Ctrl-C reaches the whole terminal group; the host decides, and its end closes our stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(requests, answers)
    except BrokenPipeError:
        return 0
    except EdgeCnnError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
