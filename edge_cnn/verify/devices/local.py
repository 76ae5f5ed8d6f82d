"""`local`: this machine and this Python; artifacts run in a child, which they may crash or hang."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import edge_cnn
from edge_cnn.device.runtimes.table import find_runtime, installed_runtimes
from edge_cnn.verify.devices.agent_device import AGENT_MODULE, AgentDevice


def _environment() -> dict[str, str]:
    # This very edge_cnn, which may run from a checkout that is not installed.
    paths = [str(Path(edge_cnn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)}


@dataclass
class LocalDevice(AgentDevice):
    """A child of this process, of the same Python with the same packages."""

    name: str = "local"
    python: tuple[str, ...] = (sys.executable,)
    advice: str = f"try {sys.executable} -m {AGENT_MODULE[-1]} < /dev/null"
    environment: Mapping[str, str] | None = field(default_factory=_environment)

    def runtimes(self, format: str) -> tuple[str, ...]:
        # Known without a child: it has what this process has.
        return installed_runtimes(format)


def parse_local(text: str, rest: str, limit_s: float) -> LocalDevice:
    """`local` or `local:RUNTIME`. Raises: InputError: unknown runtime."""
    if ":" in text:
        find_runtime(rest)
    return LocalDevice(text, wanted_runtime=rest or None, limit_s=limit_s)
