"""Ends forked children by SIGKILL at their system calls or at random times; what both drivers of kills share.

A driver has one thread and has imported all it needs, so that a child is a fork away and none pays for a start of
Python. `ptrace(2)` stops the child before and after each system call of its first thread; SIGKILL then ends it there,
before the call or after it.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from edge_cnn.core.errors import EdgeCnnError

needs_ptrace = pytest.mark.skipif(
    sys.platform != "linux", reason="stops at system calls with Linux's ptrace: run it there"
)

PTRACE_TRACEME, PTRACE_SYSCALL = 0, 24
"""Linux, the same on all its machines."""


def in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except EdgeCnnError as error:
            print(error, file=sys.stderr)  # noqa: T201  # the parent reports the status
        finally:
            os._exit(status)
    return child


def traced(work: Callable[[], None], stop: int) -> tuple[bool, int]:
    """Run `work` in a child and kill it at its `stop`-th stop; whether it was killed, and how many stops it made."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long

    def stopped() -> None:
        if ptrace(PTRACE_TRACEME, 0, None, None) != 0:
            os._exit(3)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()

    child = in_child(stopped)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        sys.exit(f"error: ptrace is not allowed here (status {os.WEXITSTATUS(status)})")
    for count in range(1, 1_000_000):
        ptrace(PTRACE_SYSCALL, child, None, None)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                sys.exit("error: the use that was to be killed failed by itself")
            return False, count - 1
        if count == stop:
            os.kill(child, signal.SIGKILL)
            while not os.WIFSIGNALED(status):
                _, status = os.waitpid(child, 0)
            return True, count
    raise AssertionError("it never ends")


def killed_at_calls(renew: Callable[[], None], work: Callable[[], None], stride: int, first: int = 1) -> Iterator[str]:
    stop = first
    while True:
        renew()
        killed, calls = traced(work, stop)
        if not killed:
            return
        yield f"stop {calls}"
        stop += stride


def killed_at_times(renew: Callable[[], None], work: Callable[[], None], count: int, seed: int) -> Iterator[str]:
    generator = random.Random(seed)  # chooses times, guards nothing
    renew()
    begin = time.perf_counter()
    os.waitpid(in_child(work), 0)
    whole = time.perf_counter() - begin
    kills = 0
    while kills < count:
        renew()
        child = in_child(work)
        wait = generator.uniform(0, whole)
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
            yield f"{1e3 * wait:.2f} ms"
