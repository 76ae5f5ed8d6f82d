"""Wheels for another machine into a folder, by this environment's pip."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError

LIMIT_S = 900


def install_wheels(pins: Sequence[str], platforms: Sequence[str], folder: Path, *, python: str = "3.11") -> None:
    """Unpack exactly these wheels, nothing that they depend on.

    Args:
        pins: "NAME==VERSION".
        platforms: tags of wheels that run there, the best first.
        folder: made, or added to.
        python: CPython's version there.

    Raises:
        DeviceUnavailableError: no pip here, no network, or no such wheel.
    """
    tag = f"cp{python.replace('.', '')}"
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
        # Environment markers are evaluated for this Python, not for that one, so every dependency is named instead.
        *("--no-deps", "--no-compile", "--only-binary=:all:", "--target", str(folder)),
        *("--python-version", python, "--implementation", "cp", "--abi", tag, "--abi", "abi3", "--abi", "none"),
        *(word for platform in platforms for word in ("--platform", platform)),
        *pins,
    ]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceUnavailableError(
            f"pip took more than {LIMIT_S} s for {', '.join(pins)}; check the network and run it again"
        ) from error
    if result.returncode != 0:
        raise DeviceUnavailableError(_advice(result.stderr, pins))


def _advice(said: str, pins: Sequence[str]) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return f"{sys.executable} has no pip; give it one with '{sys.executable} -m ensurepip' and run again"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reached = not any("connection broken by" in line for line in lines)
    detail = (errors or lines or ["it says nothing"])[-1]
    next_step = "see 'pip config list' for where it looks" if reached else "check the network"
    return f"pip cannot fetch {', '.join(pins)}: {detail}; {next_step}, and run again"
