"""What an agent says of the machine that it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.device.machine import KERNEL_FEATURES


@dataclass(frozen=True)
class DeviceFacts:
    """One device.

    Attributes:
        machine: architecture, for example "aarch64".
        python: its version.
        cpu: name of the CPU; empty where the system does not tell.
        cores: that the agent may use.
        features: instruction sets, sorted; all that the system tells.
        memory_mb: of the machine, in MiB; None where the system does not tell.
        imports_ms: the agent's own imports, which are numpy for the most part.
    """

    machine: str
    python: str
    cpu: str
    cores: int
    features: tuple[str, ...]
    memory_mb: float | None
    imports_ms: float

    @property
    def kernel_features(self) -> tuple[str, ...]:
        """The instruction sets that inference kernels are chosen by."""
        return tuple(name for name in self.features if name in KERNEL_FEATURES)

    def in_words(self) -> str:
        """For a person, for example "Cortex-A72, 4 cores, 3790 MiB; asimd"."""
        parts = [self.cpu or self.machine, f"{self.cores} core{'s' if self.cores > 1 else ''}"]
        if self.memory_mb is not None:
            parts.append(f"{self.memory_mb:.0f} MiB")
        known = ", ".join(parts)
        return f"{known}; {' '.join(self.kernel_features)}" if self.kernel_features else known

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "python": self.python,
            "cpu": self.cpu,
            "cores": self.cores,
            "features": list(self.kernel_features),
            "memory_mb": self.memory_mb,
        }

    @staticmethod
    def from_header(header: dict[str, Any]) -> DeviceFacts:
        memory = header["memory_mb"]
        return DeviceFacts(
            machine=str(header["machine"]),
            python=str(header["python"]),
            cpu=str(header["cpu"]),
            cores=int(header["cores"]),
            features=tuple(str(name) for name in header["features"]),
            memory_mb=None if memory is None else float(memory),
            imports_ms=float(header["imports_ms"]),
        )
