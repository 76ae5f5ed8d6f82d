"""A second virtual environment without TensorFlow, standing in for the device: what runs there runs on a Pi."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_cnn
from edge_cnn.core.errors import CheckFailedError, DeviceUnavailableError, InputError

FRAMEWORKS = ("tensorflow", "keras", "scipy", "sklearn")
"""What a device has no room for."""

_MARKER = ".edge-cnn-device"
"""A file that says that this module made the environment, whole or not."""

_PROBE = (
    "import importlib.util as u, json, sys, edge_cnn, numpy;"
    "json.dump({'python': sys.version.split()[0], 'numpy': numpy.__version__,"
    f" 'frameworks': [n for n in {FRAMEWORKS!r} if u.find_spec(n)],"
    " 'runtimes': [n for n in ('ai_edge_litert', 'onnxruntime') if u.find_spec(n)]}, sys.stdout)"
)


@dataclass(frozen=True)
class DeviceEnvironment:
    """A virtual environment with the device side of edge_cnn and light runtimes.

    Attributes:
        path: its folder.
        facts: python and numpy versions, runtimes.
    """

    path: Path
    facts: dict[str, Any]

    def command(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
        """Run `edge-cnn ARGUMENTS --json` there; one document a line of its output.

        Args:
            arguments: the command and its words.
            accept: exit statuses that are results; 1 for a check whose failure is worth showing.

        Raises:
            CheckFailedError: another exit status; the last line of stderr is the message.
        """
        words = [str(self.path / "bin" / "python"), "-P", "-m", "edge_cnn", *arguments, "--json", "--quiet"]
        child = subprocess.run(words, capture_output=True, text=True, check=False)
        if child.returncode not in accept:
            said = child.stderr.strip().splitlines()
            raise CheckFailedError(
                f"'edge-cnn {arguments[0]}' failed in {self.path} with exit status {child.returncode}: "
                f"{said[-1].removeprefix('error: ') if said else 'it said nothing'}"
            )
        return [json.loads(line) for line in child.stdout.splitlines()]


def make_device_environment(path: Path) -> DeviceEnvironment:
    """Make the environment at `path`, or take the one that is there.

    Raises:
        InputError: something else is at `path`.
        DeviceUnavailableError: it cannot be made, or TensorFlow is in it.
    """
    facts = _probe(path)
    if facts is None:
        if path.exists() and not (path / _MARKER).exists() and (not path.is_dir() or any(path.iterdir())):
            # Making an environment empties its folder, and what is in there may be dear to somebody.
            raise InputError(f"{path} exists and is no device environment that this command made; give a new folder")
        _run([sys.executable, "-m", "venv", "--clear", str(path)])
        (path / _MARKER).touch()
        _run([str(path / "bin" / "python"), "-m", "pip", "install", "--quiet", *_what_to_install()])
        facts = _probe(path)
    if facts is None or len(facts["runtimes"]) < 2:
        raise DeviceUnavailableError(f"{path} is no working device environment; delete that folder and try again")
    if facts["frameworks"]:
        raise DeviceUnavailableError(
            f"{path} holds {', '.join(facts['frameworks'])}, which a device has not; give an empty folder"
        )
    return DeviceEnvironment(path, facts)


def _what_to_install() -> Sequence[str]:
    root = Path(edge_cnn.__file__).resolve().parent.parent
    if (root / "pyproject.toml").exists():
        constraints = root / "constraints.txt"
        pinned = ["-c", str(constraints)] if constraints.exists() else []
        return [*pinned, "-e", f"{root}[litert,onnx]"]
    return [f"edge-cnn[litert,onnx]=={edge_cnn.__version__}"]


def _probe(path: Path) -> dict[str, Any] | None:
    python = path / "bin" / "python"
    if not python.exists():
        return None
    child = subprocess.run([str(python), "-c", _PROBE], capture_output=True, text=True, check=False)
    return json.loads(child.stdout) if child.returncode == 0 else None


def _run(command: list[str]) -> None:
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        said = (child.stderr or child.stdout).strip().splitlines()
        raise DeviceUnavailableError(
            f"cannot make the device environment: {said[-1] if said else command[-1]}; is PyPI reachable?"
        )
