"""`NAME.TARGET/` beside a bundle: what a compiler made for one target, whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from edge_cnn.core.atomic_file import sync_folder
from edge_cnn.core.errors import InputError

REPORT = "report.json"
"""In every such folder: what the compiler tells, and which files are its own."""


def compiled_folder(bundle: Path, target: str) -> Path:
    """The folder of a target, beside the bundle."""
    return bundle.with_name(f"{bundle.stem}.{target}")


def check_replaceable(folder: Path) -> None:
    """Make sure that nothing is lost when the folder is replaced.

    Raises:
        InputError: there is something at its place that no export made, or that cannot be looked at.
    """
    try:
        if not os.path.lexists(folder):
            return
        strangers = [folder.name]
        if folder.is_dir() and not folder.is_symlink():
            strangers = sorted({path.name for path in folder.iterdir()} - _own_files(folder))
    except OSError as error:
        raise InputError(f"cannot look into {folder}: {error.strerror}; give another --out") from error
    if strangers:
        raise InputError(
            f"{folder} would be replaced, and no export made {', '.join(strangers[:3])} there; "
            "move it away or give another --out"
        )


def _own_files(folder: Path) -> set[str]:
    try:
        return {str(name) for name in json.loads((folder / REPORT).read_text())["files"]} | {REPORT}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextlib.contextmanager
def staging_folder(bundle: Path) -> Generator[Path]:
    """Yield a new folder beside `bundle`, gone afterwards; what killed exports of the same name left goes first.

    Raises:
        OSError: the folder cannot be written to.
    """
    prefix = f".{bundle.stem}-compiled-"
    for left in bundle.parent.glob(f"{_escaped(prefix)}*"):
        # Its owner is alive as long as it is locked.
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=bundle.parent))
    try:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # Some file systems have no locks; then nobody removes leftovers either.
                stack.enter_context(_locked(folder))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finish_folder(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the report beside the files of a staged folder, and all of it to the disk. Raises: OSError."""
    files = sorted(path.name for path in folder.iterdir())
    text = json.dumps({**report, "files": files}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / REPORT).write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def put_in_place(staged: Path, folder: Path) -> None:
    """Move a staged folder to its place, and what an earlier export left there to the staging. Raises: OSError."""
    if folder.exists():
        folder.rename(staged.with_name(f"old-{folder.name}"))
    staged.rename(folder)
    sync_folder(folder.parent)


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _escaped(text: str) -> str:
    """For `glob`."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
