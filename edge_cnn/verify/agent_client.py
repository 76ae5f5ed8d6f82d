"""The host's end of the pipe: start an agent, ask it, and say clearly when it dies or hangs."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core import errors
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DeviceFailedError, DeviceUnavailableError, EdgeCnnError
from edge_cnn.device.agent_protocol import PROTOCOL_VERSION, Message, read_message, write_message
from edge_cnn.device.process_end import describe_end
from edge_cnn.device.runtimes.operator_times import OperatorTime
from edge_cnn.device.runtimes.table import RUNTIMES
from edge_cnn.verify.agent_runtime import AgentRuntime
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.throttling import ThrottleState

LIMIT_S = 300.0
"""Seconds for one request; ResNet-8 takes well under one a batch on the slowest board in the table of targets."""
CLOSING_S = 5.0


class AgentClient:
    """A running agent.

    Args:
        command: starts the agent with its stdin and stdout as the pipe.
        device: name for messages.
        advice: what to do where the agent does not start.
        limit_s: seconds that one request may take.
        environment: variables of the agent; None for those of this process.
        explain: exit status, stderr -> the error where they tell of the way to the agent, not of the agent itself.

    Attributes:
        runtimes: names of the runtimes that are installed there.
        facts: what else the agent's greeting tells.

    Raises:
        DeviceUnavailableError: it does not start, or is another version.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        device: str,
        advice: str,
        limit_s: float = LIMIT_S,
        environment: Mapping[str, str] | None = None,
        explain: Callable[[int, str], DeviceUnavailableError | None] | None = None,
    ) -> None:
        self._device = device
        self._explain = explain
        self._advice = advice
        self._limit_s = limit_s
        self._timed_out = False
        # A file, not a pipe: nobody reads it while the agent works, and a full pipe would block the agent.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the child; close() closes it
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=environment
            )
        except OSError as error:
            self._stderr.close()
            raise DeviceUnavailableError(
                f"device {device!r}: cannot start {command[0]}: {error.strerror}; {advice}"
            ) from error
        try:
            greeting = self._receive_greeting()
        except BaseException:
            self.close()
            raise
        self.runtimes = tuple(str(name) for name in greeting.header["runtimes"])
        self.facts = DeviceFacts.from_header(greeting.header)

    def _receive_greeting(self) -> Message:
        with self._deadline():
            try:
                message = self._receive()
            except DeviceUnavailableError as error:
                raise DeviceUnavailableError(f"device {self._device!r}: {error}") from error
        if message is None:
            self._process.wait()
            if self._timed_out:
                raise DeviceUnavailableError(
                    f"device {self._device!r}: the agent did not start within {self._limit_s:g} s; {self._advice}"
                )
            self._check_way()
            said = self._last_line() or f"exit status {self._process.returncode}"
            raise DeviceUnavailableError(f"device {self._device!r}: the agent does not start: {said}; {self._advice}")
        if message.header.get("protocol") != PROTOCOL_VERSION:
            raise DeviceUnavailableError(
                f"device {self._device!r} has edge_cnn {message.header.get('edge_cnn')}, whose agent speaks version "
                f"{message.header.get('protocol')}, not {PROTOCOL_VERSION}; install the same edge_cnn on both sides"
            )
        return message

    def ask(self, header: dict[str, Any], arrays: Sequence[NDArray[Any]] = (), *, subject: str) -> Message:
        """Send a request and wait for the answer.

        Args:
            header, arrays: of the request.
            subject: name of the artifact, for messages.

        Raises:
            DeviceFailedError: the agent died or hung.
            DeviceUnavailableError: the way to it is broken.
            EdgeCnnError: what the agent answered, as the class that it named.
        """
        answer = None
        with self._deadline():
            with contextlib.suppress(BrokenPipeError):  # A dead agent is told by the missing answer.
                write_message(_present(self._process.stdin), header, arrays)
            try:
                answer = self._receive()
            except DeviceUnavailableError as error:
                if not self._has_ended() and not self._timed_out:
                    self._process.kill()  # Where the next message starts is no longer known.
                    raise DeviceUnavailableError(f"device {self._device!r}: {error}") from error
        if answer is None:
            raise self._death(subject)
        if "error" in answer.header:
            raise _error_class(str(answer.header.get("kind")))(str(answer.header["error"]))
        return answer

    def open(self, artifact: Artifact, runtime: str | None, threads: int) -> AgentRuntime:
        """Load an artifact there. Raises: as `ask`; ModelError: the runtime refuses it."""
        request = {"op": "open", "name": artifact.name, "format": artifact.format}
        data = np.frombuffer(artifact.data, np.uint8)
        answer = self.ask({**request, "runtime": runtime, "threads": threads}, (data,), subject=artifact.name)
        return AgentRuntime(self, artifact.name, answer.header)

    @property
    def limit_s(self) -> float:
        """Seconds that one request may take."""
        return self._limit_s

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def peak_memory_mb(self) -> float:
        """Largest resident set of the agent so far, in MiB."""
        return float(self.ask({"op": "memory"}, subject="the agent").header["peak_memory_mb"])

    def start_times_ms(self, repeats: int) -> NDArray[np.float64]:
        """Milliseconds that each of `repeats` new Python processes takes to start there. Raises: as `ask`."""
        (times,) = self.ask({"op": "start", "repeats": repeats}, subject="the agent").arrays
        return times

    def throttle_state(self) -> ThrottleState:
        """Temperatures and frequencies there, now."""
        return ThrottleState.from_header(self.ask({"op": "throttle"}, subject="the agent").header)

    def profile(
        self,
        artifact: Artifact,
        runtime: str,
        inputs: Sequence[NDArray[Any]],
        *,
        threads: int,
        warmup: int,
        repeats: int,
    ) -> tuple[OperatorTime, ...]:
        """As `operator_times.profile_operators`, there. Raises: as there and as `ask`."""
        header = {"op": "profile", "name": artifact.name, "format": artifact.format, "runtime": runtime}
        counts = {"threads": threads, "warmup": warmup, "repeats": repeats}
        arrays = (np.frombuffer(artifact.data, np.uint8), *inputs)
        answer = self.ask({**header, **counts}, arrays, subject=artifact.name)
        return tuple(OperatorTime.from_json(operator) for operator in answer.header["operators"])

    def close(self) -> None:
        """End the agent: closing its stdin suffices, unless it hangs."""
        with contextlib.suppress(OSError):  # Data may be left in the buffer of a dead child's pipe.
            _present(self._process.stdin).close()
        try:
            self._process.wait(CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _present(self._process.stdout).close()
        self._stderr.close()

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> Message | None:
        return read_message(_present(self._process.stdout))

    @contextlib.contextmanager
    def _deadline(self) -> Generator[None]:
        """Kill the agent at the limit: then every read and write on its pipes returns."""

        def expire() -> None:
            self._timed_out = True
            self._process.kill()

        timer = threading.Timer(self._limit_s, expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _death(self, subject: str) -> DeviceFailedError:
        """Raises: DeviceUnavailableError: it was the way to the agent that broke."""
        status = self._process.wait()
        if self._timed_out:
            return DeviceFailedError(
                f"{subject} hung on {self._device!r} for more than {self._limit_s:g} s and was stopped; "
                "try another runtime, or give it more time with --timeout"
            )
        self._check_way()
        said = self._last_line()
        return DeviceFailedError(
            f"{subject} ended the agent on {self._device!r} with {describe_end(status)}{f' ({said})' if said else ''}; "
            "try another runtime, or export the model with another scheme"
        )

    def _has_ended(self) -> bool:
        """Whether the process is gone; one that has just closed its pipe gets a moment."""
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _check_way(self) -> None:
        """Raises: DeviceUnavailableError: the way to the agent broke, so that its death says nothing."""
        if self._explain is not None:
            error = self._explain(self._process.wait(), self._said())
            if error is not None:
                raise error

    def _said(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def _last_line(self) -> str:
        return next((line.strip() for line in reversed(self._said().split("\n")) if line.strip()), "")


def runtimes_of(format: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of `names` that load `format`, the preferred one first; names that this side does not know are left out."""
    return tuple(row.name for row in RUNTIMES.values() if row.format == format and row.name in names)


def _error_class(kind: str) -> type[EdgeCnnError]:
    found = getattr(errors, kind, None)
    return found if isinstance(found, type) and issubclass(found, EdgeCnnError) else DeviceFailedError


def _present(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "the agent is started with pipes"
    return stream
