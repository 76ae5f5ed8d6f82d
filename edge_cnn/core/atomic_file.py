"""Files that are either whole or not there: write aside, fsync, rename, fsync the folder.

A killed process cannot remove its temporary file, so the next write of the same file does. What tells a dead writer's
file from that of a live one is a lock (flock) on it, which the kernel drops when its owner dies.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator
from typing import TYPE_CHECKING

from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_MARK_LENGTH = 8
_MARK_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
"""`tempfile.mkstemp` puts so many of these between prefix and suffix."""


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed over `path`, on an error it is removed.

    The temporary name keeps the suffix, since Keras and others choose the format by it. What a killed writer of the
    same `path` left behind is removed first. A link stays, and what it leads to is replaced.

    Raises:
        InputError: the folder is missing or not writable, the disk is full, or `path` is a pipe or a device.
    """
    try:
        path = _place(path)
        remove_leftovers(path)
        handle, temporary = _locked_temporary(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        # Opened anew: a writer may have put another file in the place of the one that `handle` is open on.
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # A disk that has turned read-only must not hide the first error.
            temporary.unlink(missing_ok=True)
        os.close(handle)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: after a crash at any point the old or the new content is there, whole.

    Raises:
        InputError: as `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` outlast a power cut. Raises: OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporaries(path: Path) -> list[Path]:
    """Temporary files that `replacing(path)` has made and not removed, by their names. Raises: OSError."""
    prefix, suffix = _prefix(path), path.suffix
    length = len(prefix) + _MARK_LENGTH + len(suffix)
    with os.scandir(path.parent) as entries:
        names = [
            entry.name
            for entry in entries
            if len(entry.name) == length
            and entry.name.startswith(prefix)
            and entry.name.endswith(suffix)
            and _MARK_LETTERS.issuperset(entry.name[len(prefix) : len(prefix) + _MARK_LENGTH])
            and entry.is_file(follow_symlinks=False)
        ]
    return [path.with_name(name) for name in names]


def _place(path: Path) -> Path:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # Renaming over a folder fails with its own message.
        raise InputError(f"cannot write {path}: it is a pipe or a device; give the name of a file")
    return path.__class__(os.path.realpath(path)) if os.path.islink(path) else path


def _cannot_write(path: Path, error: OSError) -> InputError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    what = "make room there" if full else "choose another place"
    return InputError(f"cannot write {path}: {error.strerror or error}; {what}")


def _prefix(path: Path) -> str:
    return f".{path.stem}-"


def _locked_temporary(path: Path) -> tuple[int, Path]:
    # Imported late: reading needs nothing of it, and a cold start shows every import.
    import tempfile

    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=path.suffix, dir=path.parent)
        _try_lock(handle)
        # Between these two calls another writer may have taken the file for a dead one's.
        if os.fstat(handle).st_nlink:
            return handle, path.with_name(os.path.basename(name))
        os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` left behind. Raises: OSError: the folder cannot be read."""
    for temporary in temporaries(path):
        # Whatever goes wrong here (a foreign owner, another cleaner who was first) is no reason not to write.
        with contextlib.suppress(OSError):
            handle = os.open(temporary, os.O_RDONLY | os.O_NONBLOCK)
            try:
                if _try_lock(handle):
                    temporary.unlink(missing_ok=True)
            finally:
                os.close(handle)


def _try_lock(handle: int) -> bool:
    """Whether nobody else holds the file; where a file system has no locks, somebody may."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
