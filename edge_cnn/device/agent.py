"""`python -m edge_cnn.device.agent`: runs artifacts for a host that talks to it over stdin and stdout.

It is started once and fed with messages (`agent_protocol`), so that a replay of many samples pays for one start. It
needs numpy and the light runtimes that are installed beside it, nothing else.

    open   {name, format, runtime, threads} + bytes  -> {id, runtime, version, kernels, inputs, outputs}
    run    {id} + inputs                             -> outputs
    time   {id, warmup, repeats} + inputs            -> latencies in microseconds, float64 (repeats,)
    close  {id}                                      -> {}
    memory {}                                        -> {peak_memory_mb}

The first message is the agent's own: {protocol, edge_cnn, python, machine, runtimes}. An answer with {error, kind}
means that the request failed; the agent goes on. It ends when its stdin is closed.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn import __version__
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DataError, EdgeCnnError, InputError
from edge_cnn.core.protocols import Runtime
from edge_cnn.device.agent_protocol import PROTOCOL_VERSION, Message, read_message, write_message
from edge_cnn.device.runtimes import RUNTIMES, open_runtime

MAX_REPEATS = 1_000_000


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
                return Message({}, tuple(self._runtime(request).run(request.arrays)))
            case "time":
                return self._time(request)
            case "close":
                self._opened.pop(_integer(request, "id"), None)
                return Message({})
            case "memory":
                return Message({"peak_memory_mb": peak_memory_mb()})
            case other:
                raise InputError(f"the agent knows no request {other!r}; update edge_cnn on the device")

    def _open(self, request: Message) -> Message:
        header = request.header
        if len(request.arrays) != 1:
            raise InputError(f"'open' takes the bytes of one artifact, got {len(request.arrays)} arrays")
        artifact = Artifact(str(header["name"]), str(header["format"]), request.arrays[0].tobytes())
        runtime = open_runtime(artifact, header.get("runtime"), threads=_integer(request, "threads"))
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
            }
        )

    def _time(self, request: Message) -> Message:
        runtime, repeats = self._runtime(request), _integer(request, "repeats")
        if not 1 <= repeats <= MAX_REPEATS:
            raise InputError(f"repeats must be 1..{MAX_REPEATS}, got {repeats}")
        for _ in range(_integer(request, "warmup")):
            runtime.run(request.arrays)
        return Message({}, (time_runs(runtime, request.arrays, repeats),))

    def _runtime(self, request: Message) -> Runtime:
        number = _integer(request, "id")
        if number not in self._opened:
            raise InputError(f"the agent has no open artifact {number}; open it first")
        return self._opened[number]


def _integer(request: Message, key: str) -> int:
    value = request.header.get(key)
    if not isinstance(value, int):
        raise InputError(f"the request's {key!r} must be an integer, got {value!r}")
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
    return {
        "protocol": PROTOCOL_VERSION,
        "edge_cnn": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "runtimes": [row.name for row in RUNTIMES.values() if row.is_installed()],
    }


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Greet, then answer until `requests` ends.

    Raises:
        DeviceUnavailableError: the host sent something that is no message; nothing sensible can follow.
    """
    agent = Agent()
    write_message(answers, greeting())
    while (request := read_message(requests)) is not None:
        try:
            answer = agent.answer(request)
        except EdgeCnnError as error:
            answer = Message({"error": str(error), "kind": type(error).__name__})
        except (KeyError, ValueError, TypeError, RuntimeError, MemoryError) as error:
            # What a runtime throws while it runs: the host shall hear it, and may go on with another artifact.
            failure = DataError(f"{type(error).__name__}: {error}")
            answer = Message({"error": str(failure), "kind": type(failure).__name__})
        write_message(answers, answer.header, answer.arrays)


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
