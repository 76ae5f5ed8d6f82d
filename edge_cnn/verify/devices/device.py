"""What `verify` and `bench` know of a device, and how they choose a runtime there."""

from __future__ import annotations

from typing import Protocol

from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.errors import RuntimeUnavailableError
from edge_cnn.core.protocols import Runtime
from edge_cnn.device.runtimes.table import find_runtime
from edge_cnn.verify.agent_client import AgentClient


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

    @property
    def emulated(self) -> bool:
        """An emulator runs it: its answers count, its times do not."""
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
            f"{row.advice('install it there: pip install')}"
        )


def choose_runtime(device: Device, artifact: Artifact) -> str | None:
    """The runtime that runs `artifact` on `device`; None where none there loads its format."""
    if device.wanted_runtime is not None:
        return device.wanted_runtime if find_runtime(device.wanted_runtime).format == artifact.format else None
    return next(iter(device.runtimes(artifact.format)), None)
