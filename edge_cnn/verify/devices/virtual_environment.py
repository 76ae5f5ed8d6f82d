"""A virtual environment in the cache folder, made once and put in its place whole."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.preparation import OnStep

STAMP = "ready.json"
"""In the folder of an environment: the requirements that it was made from."""

LINUX_X86_64 = ("linux", "x86_64")

_STALE_S = 24 * 3600.0
"""A half-made environment of this age belongs to nobody any more."""

_SAID_OF_NETWORK = (
    "temporary failure in name resolution",
    "name or service not known",
    "network is unreachable",
    "connection refused",
    "connection timed out",
    "after connection broken by",
    "cannot connect to proxy",
    "max retries exceeded",
)
_SAID_OF_WHEELS = ("no matching distribution found", "could not find a version that satisfies")
"""What pip says, in lower case. Without a network it goes on to say that it finds no version, so that comes last."""


@dataclass(frozen=True)
class VirtualEnvironment:
    """A `Preparation` that Python and pip make.

    Attributes:
        subject: what it is there for, as messages call it, for example "device 'tflm'".
        folder: its place, below the cache folder.
        requirements: for pip, with exact versions, so that two machines compute the same.
        pythons: minor versions of Python 3 that there are wheels for.
        machines: (sys.platform, platform.machine()) that there are wheels for.
        megabytes: what it takes on the disk, about.
        check: a question in words, and the function that answers it for a folder by raising `failed(...)` or not.
        addition: what beside Python packages goes into its folder, in words, and the function that puts it there.
    """

    subject: str
    folder: Path
    requirements: tuple[str, ...]
    pythons: tuple[int, ...]
    machines: tuple[tuple[str, str], ...]
    megabytes: int
    check: tuple[str, Callable[[Path], None]]
    addition: tuple[str, Callable[[Path], None]] | None = None

    @property
    def python(self) -> Path:
        """The interpreter."""
        return python_of(self.folder)

    def missing(self) -> str | None:
        """As `Preparation.missing`."""
        try:
            made_from = json.loads((self.folder / STAMP).read_text())["requirements"]
        except (OSError, ValueError, TypeError, KeyError):
            return f"an environment with {self.requirements[0]}, about {self.megabytes} MB"
        if made_from != list(self.requirements):
            return f"its environment is of another version of edge_cnn; it wants {', '.join(self.requirements)}"
        # The environment's Python is a link to the one that made it.
        return None if self.python.exists() else "the Python that its environment was made with is gone"

    def setup(self, on_step: OnStep) -> None:
        """As `Preparation.setup`: made aside and put in its place whole; pip keeps what an interrupted one downloaded.

        Raises:
            DeviceUnavailableError: there are no wheels for this Python or machine, the package index cannot be
                reached, there is no space, or what was installed does not load.
        """
        if self.missing() is None:
            return
        self.check_wheels()
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._forget_half_made()
            making = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=f".{self.folder.name}-"))
            try:
                self._make(making, on_step)
            finally:
                shutil.rmtree(making, ignore_errors=True)
        except OSError as error:
            raise self.failed(f"{error.filename}: {error.strerror}", "see to that folder") from error

    def _make(self, making: Path, on_step: OnStep) -> None:
        steps = 3 if self.addition is None else 4
        on_step(0, steps, f"a virtual environment for {self.folder.name}")
        self._run([sys.executable, "-m", "venv", str(making)])
        on_step(1, steps, f"pip install {' '.join(self.requirements)}, about {self.megabytes} MB")
        python = str(python_of(making))
        self._run([python, "-P", "-m", "pip", "install", "--quiet", "--only-binary=:all:", *self.requirements])
        if self.addition is not None:
            what, add = self.addition
            on_step(2, steps, what)
            try:
                add(making)
            except DeviceUnavailableError as error:
                raise self.failed(str(error), "then run it again") from error
        question, check = self.check
        on_step(steps - 1, steps, question)
        check(making)
        (making / STAMP).write_text(json.dumps({"requirements": self.requirements}))
        # An environment may be moved as long as nobody uses its console scripts, and nobody does.
        if self.folder.exists():
            self.folder.rename(making / "old")
        try:
            making.rename(self.folder)
        except OSError:
            # Somebody else may have been first, with the same requirements.
            if self.missing() is not None:
                raise
        shutil.rmtree(self.folder / "old", ignore_errors=True)

    def check_wheels(self) -> None:
        """Raises: DeviceUnavailableError: there are no wheels for this Python or machine."""
        machine = (sys.platform, platform.machine())
        if machine not in self.machines:
            known = " and ".join(f"{system} on {cpu}" for system, cpu in self.machines)
            raise self.failed(f"there are no wheels for {machine[0]} on {machine[1]}", f"it needs {known}")
        if sys.version_info[0] != 3 or sys.version_info[1] not in self.pythons:
            known = ", ".join(f"3.{minor}" for minor in self.pythons)
            raise self.failed(
                f"there are no wheels for Python {sys.version_info[0]}.{sys.version_info[1]}",
                f"run edge-cnn with Python {known}",
            )

    def _run(self, command: list[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if child.returncode == 0:
            return
        said = [line.strip() for line in (child.stdout + child.stderr).splitlines() if line.strip()]
        text = "\n".join(said).lower()
        # pip tells the reason first, and then what it could not do.
        told = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1] if said else "no message")
        if any(words in text for words in _SAID_OF_NETWORK):
            raise self.failed("the package index cannot be reached", "connect to the network, or set pip's proxy")
        if any(words in text for words in _SAID_OF_WHEELS):
            raise self.failed(f"there is no wheel here, pip says '{told}'", "look at pip's index and constraints")
        if "no space left" in text:
            raise self.failed("no space is left on the disk", f"it takes {self.megabytes} MB, and pip's cache")
        if "ensurepip" in text:
            raise self.failed("this Python makes no virtual environments", "install python3-venv")
        raise self.failed(f"'{told}'", "try again")

    def _forget_half_made(self) -> None:
        for left in self.folder.parent.glob(f".{self.folder.name}-*"):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)

    def failed(self, what: str, advice: str) -> DeviceUnavailableError:
        """The error of a set-up that comes to nothing."""
        return DeviceUnavailableError(f"{self.subject} cannot be made ready: {what}; {advice}")


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"
