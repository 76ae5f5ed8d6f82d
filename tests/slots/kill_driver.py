"""Kills one use of a slot at every system call, or at random times, and tells what the next start finds.

    python kill_driver.py TEMPLATE WORK '{"use": "install", "bundle": PATH, "base": false}' calls STRIDE
    python kill_driver.py TEMPLATE WORK '{"use": "rollback"}' times COUNT SEED

A process of its own, with one thread: it forks a child for each use, so that none pays for a start of Python. TEMPLATE
is copied to WORK/slot before each use. A line of JSON a kill: {"at", "answer", "notes", "counter", "probation",
"stray"}; the last line is {"kills"}. `ptrace(2)` stops the child before and after each of its system calls; SIGKILL
then ends it there, before the call or after it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import EdgeCnnError, ToleranceError
from edge_cnn.device.slot_folder import LOCK, RECORDS, read_state
from edge_cnn.device.slot_start import start
from edge_cnn.device.slot_update import open_for_change

PTRACE_TRACEME, PTRACE_SYSCALL = 0, 24
"""Linux, the same on all its machines."""


def answer_of(bundle: Bundle) -> str:
    data = bundle.artifacts[0].data
    return data[: len(data) // 500].decode()


def check_fit(path: Path) -> None:
    if answer_of(read_bundle(path)).startswith("bad"):
        raise ToleranceError("the golden answers are wrong")


def use_slot(folder: Path, request: dict[str, str], content: bytes) -> None:
    """What is going to be killed."""
    if request["use"] == "install":
        with open_for_change(folder, create=True) as writer:
            writer.install(content, "new.edgecnn", check_fit)
    elif request["use"] == "rollback":
        with open_for_change(folder) as writer:
            writer.roll_back(check_fit)
    else:
        start(folder, check_fit)


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


def traced(work: Callable[[], None], ptrace: Callable[..., int], stop: int) -> tuple[bool, int]:
    """Run `work` in a child and kill it at its `stop`-th stop; whether it was killed, and how many stops it made."""

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


def next_start(folder: Path) -> dict[str, object]:
    """What a fresh process finds in the slot, and what is left in its folder after that."""
    reading, writing = os.pipe()

    def look() -> None:
        notes: list[str] = []
        try:
            found: str | None = answer_of(start(folder, check_fit, notes.append).bundle)
        except EdgeCnnError as error:
            found = None
            notes.append(str(error))
        os.write(writing, json.dumps({"answer": found, "notes": notes}).encode())

    child = in_child(look)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = json.loads(pipe.read())
    os.waitpid(child, 0)
    state = read_state(folder)
    expected = {LOCK, *RECORDS}
    if state.record is not None:
        expected |= {v.file for record in (state.record, state.older) if record for v in record.versions}
    told["stray"] = (
        sorted(path.name for path in folder.iterdir() if path.name not in expected) if folder.is_dir() else []
    )
    told["counter"] = state.record.counter if state.record else 0
    told["probation"] = state.record.probation if state.record else None
    return told


def killed_at_calls(renew: Callable[[], None], work: Callable[[], None], stride: int) -> Iterator[str]:
    libc = ctypes.CDLL(None, use_errno=True)
    ptrace = libc.ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    stop = 1
    while True:
        renew()
        killed, calls = traced(work, ptrace, stop)
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


def main() -> None:
    template, work, request = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    how, numbers = sys.argv[4], [int(word) for word in sys.argv[5:]]
    folder = work / "slot"
    content = Path(request["bundle"]).read_bytes() if "bundle" in request else b""
    # What is imported late must not be imported in each child.
    with contextlib.suppress(EdgeCnnError), tempfile.TemporaryDirectory(dir=work) as place:
        (Path(place) / "slot").mkdir()
        use_slot(Path(place) / "slot", {"use": "install"}, content)

    def renew() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if template.is_dir():
            shutil.copytree(template, folder)

    kill = killed_at_calls if how == "calls" else killed_at_times
    kills = 0
    for at in kill(renew, lambda: use_slot(folder, request, content), *numbers):
        kills += 1
        print(json.dumps({"at": at} | next_start(folder)), flush=True)  # noqa: T201  # the answer
    print(json.dumps({"kills": kills}))  # noqa: T201  # as above


main()
