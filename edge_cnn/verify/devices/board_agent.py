"""Runs the agent on a board over SSH and watches over it: sent there as it is, for the board's own Python.

When the host is gone, or has had enough of an agent that hangs, the pipe closes: an agent in the middle of an endless
run would not see it, and stay on the board for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

GRACE_S = 5.0
"""For an agent to end by itself when its host is gone."""


def main(request: dict[str, Any]) -> int:
    """Run it on this process's own stdin and stdout; its exit status as `shell_status`.

    Args:
        request: {environment, sources, arguments}: two folders, and what Python is given.
    """
    environment, sources = Path(request["environment"]), Path(request["sources"])
    os.utime(environment / "ready")
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, _wake)
    with in_use(environment), in_use(sources):
        python = str(environment / "bin" / "python")
        child = os.posix_spawn(python, [python, *request["arguments"]], {**os.environ, "PYTHONPATH": str(sources)})
        return watch(child, woken)


def watch(child: int, woken: int) -> int:
    """Wait for a child, but not longer than `GRACE_S` once stdin is closed; `woken` is readable when a child ends."""
    poller = select.poll()
    poller.register(0, getattr(select, "POLLRDHUP", 0))  # POLLHUP is always told
    poller.register(woken, select.POLLIN)
    deadline = None
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1e3
        for descriptor, _ in poller.poll(wait):
            if descriptor == 0:
                poller.unregister(0)
                deadline = time.monotonic() + GRACE_S
            else:
                os.read(woken, 64)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return shell_status(os.waitstatus_to_exitcode(status))
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            return shell_status(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def shell_status(code: int) -> int:
    """Exit status as a shell gives it, and at most 254: 255 is the ssh client's own word for a lost connection."""
    return 128 - code if code < 0 else min(code, 254)


@contextlib.contextmanager
def in_use(folder: Path) -> Generator[None]:
    """Keep others from removing a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _wake(number: int, frame: object) -> None:
    """Nothing to do: the byte in the pipe says it."""
    del number, frame
