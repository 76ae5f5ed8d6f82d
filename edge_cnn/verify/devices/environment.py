"""`venv:PATH`: another virtual environment on this machine."""

from __future__ import annotations

from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError, InputError
from edge_cnn.device.runtimes.table import RUNTIMES
from edge_cnn.verify.devices.agent_device import AgentDevice


def parse_environment(text: str, rest: str, limit_s: float) -> AgentDevice:
    """`venv:PATH` or `venv:PATH:RUNTIME`.

    Raises:
        InputError: no path.
        DeviceUnavailableError: there is no environment at the path.
    """
    if not rest:
        raise InputError(f"device {text!r} names no folder; the known form is venv:PATH, for example venv:.venv-device")
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
    return AgentDevice(text, (str(python),), advice, runtime, limit_s)
