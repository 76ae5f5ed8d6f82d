"""DEVICE: where a runtime runs. Everything but `local` is a command that starts an agent."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import edge_cnn
from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.errors import DeviceUnavailableError, InputError, RuntimeUnavailableError
from edge_cnn.core.protocols import Runtime
from edge_cnn.device.runtimes import RUNTIMES, find_runtime, installed_runtimes, open_runtime
from edge_cnn.verify.agent_client import LIMIT_S, AgentClient, AgentRuntime, runtimes_of

FORMS = "local, local:RUNTIME, venv:PATH, venv:PATH:RUNTIME"

AGENT_MODULE = ("-P", "-m", "edge_cnn.device.agent")
"""-P keeps the current folder out of the import path: its files are none of the device's."""


class Device(Protocol):
    """Where artifacts run."""

    @property
    def name(self) -> str:
        """DEVICE as the user typed it."""
        ...

    @property
    def wanted_runtime(self) -> str | None:
        """The RUNTIME in the name, if any."""
        ...

    def runtimes(self, format: str) -> tuple[str, ...]:
        """Installed runtimes for `format`, the preferred one first. Raises: DeviceUnavailableError."""
        ...

    def open(self, artifact: Artifact, runtime: str, *, threads: int = 1) -> Runtime:
        """Load an artifact; the one opened before may be forgotten, since a board has little memory.

        Raises:
            ModelError: the runtime refuses it.
            DeviceUnavailableError, DeviceFailedError: the device is gone, or the artifact ended the process there.
        """
        ...

    def start_agent(self) -> AgentClient:
        """A fresh process there, for measurements. Raises: DeviceUnavailableError."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


@dataclass(frozen=True)
class LocalDevice:
    """This process; measurements run in a fresh child of the same Python."""

    name: str = "local"
    wanted_runtime: str | None = None
    limit_s: float = LIMIT_S

    def runtimes(self, format: str) -> tuple[str, ...]:
        return installed_runtimes(format)

    def open(self, artifact: Artifact, runtime: str, *, threads: int = 1) -> Runtime:
        return open_runtime(artifact, runtime, threads=threads)

    def start_agent(self) -> AgentClient:
        # This very edge_cnn, which may run from a checkout that is not installed.
        paths = [str(Path(edge_cnn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        return AgentClient(
            (sys.executable, *AGENT_MODULE),
            device=self.name,
            advice=f"try {sys.executable} -m {AGENT_MODULE[-1]} < /dev/null",
            limit_s=self.limit_s,
            environment=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        )

    def close(self) -> None:
        """Nothing was started."""


@dataclass
class AgentDevice:
    """Another process, told apart only by the command that starts its agent.

    Attributes:
        name: DEVICE as the user typed it.
        command: starts the agent with its stdin and stdout as the pipe.
        advice: what to do where it does not start.
        wanted_runtime: the RUNTIME in the name, if any.
        limit_s: seconds that one request may take.
    """

    name: str
    command: tuple[str, ...]
    advice: str
    wanted_runtime: str | None = None
    limit_s: float = LIMIT_S
    _agent: AgentClient | None = field(default=None, init=False, repr=False)
    _opened: AgentRuntime | None = field(default=None, init=False, repr=False)

    def runtimes(self, format: str) -> tuple[str, ...]:
        return runtimes_of(format, self._running_agent().runtimes)

    def open(self, artifact: Artifact, runtime: str, *, threads: int = 1) -> Runtime:
        if self._agent is not None and not self._agent.is_alive:
            # The artifact before this one ended it; that is no reason not to try this one.
            self.close()
        elif self._opened is not None:
            self._opened.close()
        self._opened = None
        self._opened = self._running_agent().open(artifact, runtime, threads)
        return self._opened

    def start_agent(self) -> AgentClient:
        return AgentClient(self.command, device=self.name, advice=self.advice, limit_s=self.limit_s)

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def _running_agent(self) -> AgentClient:
        if self._agent is None:
            self._agent = self.start_agent()
        return self._agent


def parse_device(text: str, *, limit_s: float = LIMIT_S) -> Device:
    """DEVICE as users type it -> a device; nothing is started yet.

    Raises:
        InputError: no such form, or an unknown runtime.
        DeviceUnavailableError: there is no environment at the path.
    """
    kind, _, rest = text.partition(":")
    if kind == "local":
        if ":" in text:
            find_runtime(rest)
        return LocalDevice(text, rest or None, limit_s)
    if kind == "venv" and rest:
        return _environment(text, rest, limit_s)
    raise InputError(f"unknown device {text!r}; known forms: {FORMS}")


def _environment(text: str, rest: str, limit_s: float) -> AgentDevice:
    before, colon, after = rest.rpartition(":")
    # A colon may be part of the path, so only a known runtime is one.
    path, runtime = (before, after) if colon and after in RUNTIMES else (rest, None)
    # Not resolved: bin/python is a link out of the environment, and Python finds the environment by the link's place.
    python = Path(path).expanduser().absolute() / "bin" / "python"
    if not python.exists():
        raise DeviceUnavailableError(
            f"device {text!r}: no Python at {python}; make the environment with "
            f"'python3 -m venv {path} && {path}/bin/pip install \"edge-cnn[litert]\"'"
        )
    advice = f"install edge_cnn there: {path}/bin/pip install 'edge-cnn[litert]'"
    return AgentDevice(text, (str(python), *AGENT_MODULE), advice, runtime, limit_s)


def check_runtime(device: Device) -> None:
    """Make sure that the device has the runtime of its name, or any.

    Raises:
        RuntimeUnavailableError: it is not installed there.
        DeviceUnavailableError: the device cannot be reached.
    """
    wanted = device.wanted_runtime
    if wanted is None:
        if not device.runtimes(TFLITE) + device.runtimes(ONNX):
            raise RuntimeUnavailableError(
                f"device {device.name!r} has no runtime; install one there: pip install 'edge-cnn[litert]'"
            )
        return
    row = find_runtime(wanted)
    installed = device.runtimes(row.format)
    if wanted not in installed:
        held = ", ".join(device.runtimes(TFLITE) + device.runtimes(ONNX)) or "none"
        raise RuntimeUnavailableError(
            f"device {device.name!r}: runtime {wanted!r} is not installed there, it has {held}; "
            f"install it there: pip install 'edge-cnn[{row.extra}]'"
        )


def choose_runtime(device: Device, artifact: Artifact) -> str | None:
    """The runtime that runs `artifact` on `device`; None where none there loads its format."""
    if device.wanted_runtime is not None:
        return device.wanted_runtime if find_runtime(device.wanted_runtime).format == artifact.format else None
    return next(iter(device.runtimes(artifact.format)), None)
