"""What native libraries write to stderr while they load a model: kept for error messages, not shown."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator
from typing import IO

LAST_LINES = 3


@contextlib.contextmanager
def captured_native_stderr(lines: int = LAST_LINES) -> Generator[Callable[[], str]]:
    """Point file descriptor 2 at a temporary file; yields a function that tells its last `lines`, joined by '; '.

    Process-wide while it lasts, hence used around loading a model and not around running it.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # A daemon may have closed stderr: then there is nothing to keep quiet.
        yield lambda: ""
        return
    with _scratch_file() as file:

        def last_lines() -> str:
            file.seek(0)
            said = file.read().decode(errors="replace").splitlines()
            return "; ".join(line.strip() for line in said[-lines:] if line.strip())

        os.dup2(file.fileno(), 2)
        try:
            yield last_lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _scratch_file() -> IO[bytes]:
    """A file without a name; in memory where the system has that, which also spares the import of tempfile."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()
