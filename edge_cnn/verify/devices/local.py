"""`local`: this process."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import edge_cnn
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.protocols import Runtime
from edge_cnn.device.runtimes import find_runtime, installed_runtimes, open_runtime
from edge_cnn.verify.agent_client import LIMIT_S, AgentClient
from edge_cnn.verify.devices.agent_device import AGENT_MODULE


@dataclass(frozen=True)
class LocalDevice:
    """This process; measurements run in a fresh child of the same Python."""

    name: str = "local"
    wanted_runtime: str | None = None
    limit_s: float = LIMIT_S
    emulated: bool = False

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


def parse_local(text: str, rest: str, limit_s: float) -> LocalDevice:
    """`local` or `local:RUNTIME`. Raises: InputError: unknown runtime."""
    if ":" in text:
        find_runtime(rest)
    return LocalDevice(text, rest or None, limit_s)
