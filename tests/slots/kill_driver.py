"""Kills one use of a slot at every system call, or at random times, and tells what the next start finds.

    python kill_driver.py TEMPLATE WORK '{"use": "install", "bundle": PATH, "base": false}' calls STRIDE
    python kill_driver.py TEMPLATE WORK '{"use": "rollback"}' times COUNT SEED

A process of its own, with one thread: it forks a child for each use, so that none pays for a start of Python. TEMPLATE
is copied to WORK/slot before each use. A line of JSON a kill: {"at", "answer", "notes", "counter", "probation",
"stray"}; the last line is {"kills"}.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import EdgeCnnError, ToleranceError
from edge_cnn.device.slots.folder import LOCK, RECORDS, read_state
from edge_cnn.device.slots.start import start
from edge_cnn.device.slots.update import open_for_change
from tests.slots.killing import in_child, killed_at_calls, killed_at_times


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
