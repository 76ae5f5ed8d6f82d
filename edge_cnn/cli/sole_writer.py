"""One command at a time for a folder of results: two would write over each other's checkpoint."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from edge_cnn.core.errors import InputError


@contextlib.contextmanager
def sole_writer(folder: Path, option: str = "--out") -> Generator[None]:
    """Keep other processes of this user on this machine out of `folder`, which need not be there yet.

    The lock (flock) is on a file among the temporary ones, so that nothing appears in the folder; the kernel drops it
    when its holder dies.

    Args:
        folder: that is going to be written into.
        option: what the user typed it after, for the message.

    Raises:
        InputError: another process is writing there.
    """
    place = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"edge-cnn-{os.getuid()}-{place}.lock"
    handle = _locked(lock)
    if handle is None:
        raise InputError(f"{option} {folder}: another process is writing there; wait for it to end, or give another")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _locked(lock: Path) -> int | None:
    """The open file, None where somebody else holds it."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # A lock on a file that its holder has just removed keeps nobody out.
