"""QEMU's user-mode emulators: the ones on PATH, else Debian's package unpacked into the cache folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.debian_packages import host_architecture, unpack_packages
from edge_cnn.verify.devices.preparation import cache_folder

PACKAGE = "qemu-user-static"
SUFFIX = "-static"
"""Of emulators that need no libraries of the host."""

EMULATORS = ("qemu-aarch64", "qemu-arm")
"""The package has some forty, 370 MB; these are kept of it."""


def find_emulator(name: str) -> Path | None:
    """The program on PATH, else the one in the cache folder, else None."""
    for program in (f"{name}{SUFFIX}", name):
        found = shutil.which(program)
        if found:
            return Path(found).absolute()
    kept = _folder() / f"{name}{SUFFIX}"
    return kept if kept.exists() else None


def fetch_emulator(name: str) -> None:
    """Put the emulators into the cache folder, for the processor of this machine.

    Raises:
        DeviceUnavailableError: the package cannot be had.
        OSError: the cache folder cannot be written.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as making:
        root = Path(making) / "root"
        root.mkdir()
        files = unpack_packages((PACKAGE,), host_architecture(), root)
        for emulator in EMULATORS:
            # Newer Debian has them without the suffix, in a package that this one depends on.
            programs = [root / "usr" / "bin" / f"{emulator}{suffix}" for suffix in (SUFFIX, "")]
            program = next((p for p in programs if p.is_file() and not p.is_symlink()), None)
            if program is not None:
                program.rename(folder / f"{emulator}{SUFFIX}")
    if not (folder / f"{name}{SUFFIX}").exists():
        raise DeviceUnavailableError(
            f"the package {PACKAGE} ({', '.join(files)}) holds no {name}{SUFFIX}; put one on PATH and run it again"
        )


def _folder() -> Path:
    return cache_folder() / "devices" / "qemu-user"
