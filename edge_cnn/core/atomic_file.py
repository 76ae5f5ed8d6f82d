"""Files that are either whole or not there: write aside, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import TYPE_CHECKING

from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed over `path`, on an error it is removed.

    The temporary name keeps the suffix, since Keras and others choose the format by it.

    Raises:
        InputError: the folder is missing or not writable, or the disk is full.
    """
    # Imported late: reading needs nothing of it, and a cold start shows every import.
    import tempfile

    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    os.close(handle)
    temporary = path.with_name(os.path.basename(name))
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: after a crash at any point the old or the new content is there, whole.

    Raises:
        InputError: as `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)
