"""What a board's environment holds, and its wheels where the board itself cannot fetch them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.device.runtimes.table import RUNTIMES
from edge_cnn.verify.devices.device_side import fingerprint
from edge_cnn.verify.devices.preparation import cache_folder

DOWNLOAD_S = 900
LIGHT = ("numpy", "ai-edge-litert", "onnxruntime")
OLD = ("numpy<2", "tflite-runtime==2.14.0")
MACHINES = {"x86_64": LIGHT, "aarch64": LIGHT, "armv7l": OLD}
"""Machines for which the runtimes have wheels. 32-bit ARM has them for the old interpreter only."""


@dataclass(frozen=True)
class BoardPython:
    """The Python of a board.

    Attributes:
        version: three numbers.
        machine: a key of `MACHINES`, or a machine that has no wheels.
        libc: name and version, for example ("glibc", "2.36").
    """

    version: tuple[int, int, int]
    machine: str
    libc: tuple[str, str]

    @property
    def takes_system_packages(self) -> bool:
        """The index has no numpy for 32-bit ARM; Debian's python3-numpy is one."""
        return self.machine == "armv7l"

    def requirements(self, runtime: str | None) -> tuple[str, ...]:
        """What pip is to install there, in the versions of this side, so that differences are the board's.

        Args:
            runtime: RUNTIME that was asked for, if any.

        Raises:
            DeviceUnavailableError: the machine has no wheels.
        """
        if self.machine not in MACHINES:
            raise DeviceUnavailableError(
                f"its machine is {self.machine!r}, for which the runtimes have no wheels; they have for "
                f"{', '.join(MACHINES)}"
            )
        names = OLD if runtime and RUNTIMES[runtime].extra == "tflite" else MACHINES[self.machine]
        return tuple(_pinned(name) for name in names)

    def environment_key(self, requirements: tuple[str, ...]) -> str:
        """A name for the environment with these requirements, which changes when the board's Python does."""
        text = "\n".join([*map(str, self.version), self.machine, *requirements])
        return fingerprint({"environment": text.encode()})

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags that its pip would take, the newest first (PEP 600)."""
        name, number = self.libc
        if name != "glibc":
            return (f"linux_{self.machine}",)
        newest = int(number.split(".")[1])
        manylinux = tuple(f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, 16, -1))
        return (*manylinux, f"manylinux2014_{self.machine}", f"linux_{self.machine}", "any")


def _pinned(name: str) -> str:
    try:
        return f"{name}=={version(name)}" if name in LIGHT else name
    except PackageNotFoundError:
        return name


def fetch_wheels(board: BoardPython, requirements: tuple[str, ...]) -> tuple[Path, ...]:
    """Wheels for the board, into this machine's cache.

    Raises:
        DeviceUnavailableError: this machine's pip cannot fetch them either.
    """
    folder = cache_folder() / "wheels" / board.environment_key(requirements)
    done = folder / ".complete"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        major, minor, _ = board.version
        abis = (f"cp{major}{minor}", "abi3", "none")
        command = (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--dest", str(folder), "--only-binary=:all:", "--implementation", "cp"),
            *("--python-version", f"{major}.{minor}"),
            *(part for abi in abis for part in ("--abi", abi)),
            *(part for platform in board.platforms for part in ("--platform", platform)),
            *requirements,
        )
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise DeviceUnavailableError(f"pip here did not fetch its wheels within {DOWNLOAD_S} s") from error
        if result.returncode != 0:
            lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
            errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
            raise DeviceUnavailableError(f"pip here cannot fetch its wheels: {(errors or lines or ['no reason'])[-1]}")
        done.touch()
    return tuple(sorted(folder.glob("*.whl")))
