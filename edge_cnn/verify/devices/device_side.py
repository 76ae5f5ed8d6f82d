"""What of edge_cnn a device needs, as files by name and as a folder that another Python can import from."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import edge_cnn
from edge_cnn.verify.devices.preparation import cache_folder

FOLDERS = ("core", "device", "verify", "cli", "host/datasets")
"""All that runs with numpy and a light runtime; training and converting stay on the host. Of the data sets a device
needs the names, since DATA may be one."""

_DAYS_KEPT = 7


def device_side_files() -> dict[str, bytes]:
    """Path from the import folder, for example "edge_cnn/core/errors.py" -> content; sources only."""
    root = Path(edge_cnn.__file__).parent
    top = [*root.glob("*.py"), root / "host" / "__init__.py"]
    paths = [*top, *(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))]
    return {path.relative_to(root.parent).as_posix(): path.read_bytes() for path in sorted(paths)}


def fingerprint(files: dict[str, bytes]) -> str:
    """A name for the content of files, hexadecimal."""
    digest = hashlib.sha256()
    for name, data in files.items():
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


def device_side_folder() -> Path:
    """A folder to put on another Python's import path: this edge_cnn, and nothing else that is installed beside it.

    Raises:
        OSError: the cache folder cannot be written.
    """
    files = device_side_files()
    parent = cache_folder() / "device-side"
    folder = parent / fingerprint(files)
    if not folder.is_dir():
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=parent, prefix=".making-"))
        try:
            for name, data in files.items():
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            made.chmod(0o755)
            made.rename(folder)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            # Somebody else may have made it meanwhile, with the same content.
            if not folder.is_dir():
                raise
        _forget_old_ones(parent, folder)
    os.utime(folder)
    return folder


def _forget_old_ones(parent: Path, current: Path) -> None:
    for folder in parent.iterdir():
        if folder != current and time.time() - folder.stat().st_mtime > _DAYS_KEPT * 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)
