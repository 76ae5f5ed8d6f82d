"""Killed anywhere, the slot opens, answers with one of the two versions, and nothing else stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_cnn.device.slots.folder import read_state, write_record
from tests.slots.killing import needs_ptrace

DRIVER = Path(__file__).with_name("kill_driver.py")
CALLS_EVERY = 9
"""In the everyday loop; coprime to two, so that both sides of calls are met."""


@dataclass(frozen=True)
class Scene:
    """A slot before a use, the use, and what may be answered after a kill.

    Attributes:
        request: for the driver.
        answers: the two versions; None where the slot may still be empty.
        counters: what the highest counter may be.
    """

    request: dict[str, str]
    answers: set[str | None]
    counters: set[int]


def _empty(slot: Any) -> Scene:
    del slot
    return Scene({"use": "install", "new": "one"}, {None, "one"}, {0, 1})


def _install(slot: Any) -> Scene:
    slot.install("one")
    slot.start()
    return Scene({"use": "install", "new": "two"}, {"one", "two"}, {1, 2})


def _commit_of_a_tuned_head(slot: Any) -> Scene:
    slot.install("one")
    slot.start()
    return Scene({"use": "install", "new": "tuned", "base": "one"}, {"one", "tuned"}, {1, 2})


def _install_that_drops_old_versions(slot: Any) -> Scene:
    for answer in "abcdef":
        slot.install(answer)
        slot.start()
    return Scene({"use": "install", "new": "g"}, {"f", "g"}, {6, 7})


def _rollback(slot: Any) -> Scene:
    for answer in ("one", "two"):
        slot.install(answer)
        slot.start()
    return Scene({"use": "rollback"}, {"one", "two"}, {2})


def _rollback_of_a_probation(slot: Any) -> Scene:
    slot.install("one")
    slot.start()
    slot.install("two")
    return Scene({"use": "rollback"}, {"one", "two"}, {2})


def _first_start(slot: Any) -> Scene:
    slot.install("one")
    slot.start()
    slot.install("two")
    return Scene({"use": "start"}, {"one", "two"}, {2})


def _return_to_the_last_good(slot: Any) -> Scene:
    slot.install("one")
    slot.start()
    slot.install("bad", check=lambda _: None)
    return Scene({"use": "start"}, {"one"}, {2})


def _start_after_a_death(slot: Any) -> Scene:
    scene = _first_start(slot)
    record = read_state(slot.folder).record
    assert record is not None
    write_record(slot.folder, record.with_started())
    for name in (".state-0-abcdefgh.json", "000003-0123456789abcdef.edgecnn"):
        (slot.folder / name).write_text("left behind")
    return Scene(scene.request, {"one"}, {2})


def _start_with_a_damaged_record(slot: Any) -> Scene:
    slot.install("one")
    slot.start()
    (slot.folder / "state-0.json").write_text("{")
    return Scene({"use": "start"}, {"one"}, {1})


SCENES = {
    scene.__name__.strip("_"): scene
    for scene in (
        _empty,
        _install,
        _commit_of_a_tuned_head,
        _install_that_drops_old_versions,
        _rollback,
        _rollback_of_a_probation,
        _first_start,
        _return_to_the_last_good,
        _start_after_a_death,
        _start_with_a_damaged_record,
    )
}


def kill(slot_at: Any, name: str, work: Path, how: str, *numbers: int) -> int:
    """Make the scene, let the driver kill its use again and again, and judge each next start; how many kills."""
    template = work / f"{name}-{how}"
    slot = slot_at(template)
    scene = SCENES[name](slot)
    request = dict(scene.request)
    if "new" in request:
        (work / "new.edgecnn").write_bytes(slot.bundle(request["new"], request.get("base")))
        request["bundle"] = str(work / "new.edgecnn")
    arguments = [str(template), str(work), json.dumps(request), how, *map(str, numbers)]
    done = subprocess.run(
        [sys.executable, str(DRIVER), *arguments],
        capture_output=True,
        text=True,
        check=False,
        # No threads: a child of a fork has only the thread that forked it.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "ptrace is not allowed" in done.stderr:
        pytest.skip("ptrace is not allowed here: run with --cap-add=SYS_PTRACE in a container")
    assert done.returncode == 0, done.stderr
    *kills, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert last == {"kills": len(kills)}
    for found in kills:
        assert found["answer"] in scene.answers, found
        assert found["stray"] == [], found
        assert found["counter"] in scene.counters, found
        assert found["probation"] is None, found
    # A kill at the first call has changed nothing yet and one at the last has changed all: both must be seen.
    if how == "calls" and len(scene.answers) == 2:
        assert {found["answer"] for found in kills} == scene.answers
    return len(kills)


@needs_ptrace
@pytest.mark.parametrize("name", SCENES)
def test_killed_at_system_calls_the_slot_answers_with_one_of_the_two(name, work, slot_at):
    assert kill(slot_at, name, work, "calls", CALLS_EVERY) >= 5


@pytest.mark.parametrize("name", ["install", "rollback"])
def test_killed_at_random_times_the_slot_answers_with_one_of_the_two(name, work, slot_at):
    assert kill(slot_at, name, work, "times", 10, 0) == 10


@pytest.mark.slow
@needs_ptrace
def test_a_thousand_kills_at_every_system_call_and_at_random_times(work, slot_at, record_property):
    """Every system call of every use, before it and after it, and random times besides.

    On x86-64 that is 3,292 kills at system calls and 500 at random times, in about 80 s of processor time.
    """
    at_calls = {name: kill(slot_at, name, work, "calls", 1) for name in SCENES}
    rest = max(1000 - sum(at_calls.values()), 500)
    at_times = {
        name: kill(slot_at, name, work, "times", -(-rest // len(SCENES)), seed) for seed, name in enumerate(SCENES)
    }
    for how, kills in (("at system calls", at_calls), ("at random times", at_times)):
        record_property(f"kills {how}", kills)
    assert sum(at_calls.values()) + sum(at_times.values()) >= 1000
