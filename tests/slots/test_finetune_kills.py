"""`finetune` killed anywhere: OUT is the old or the new version, and --resume ends as an unbroken run does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_cnn.core.bundle import Bundle
from edge_cnn.core.npz import pack_npz
from edge_cnn.device.slots.update import open_for_change
from edge_cnn.verify.slot_check import check_here
from tests.device.small_bundles import small_bundle
from tests.slots.killing import needs_ptrace

DRIVER = Path(__file__).with_name("finetune_kill_driver.py")
SAMPLES = 60
CALLS_EVERY = 331
"""In the everyday loop; a prime, so that kills before and after calls are met."""
AROUND_THE_SWITCH = 20, 260
"""Stride and first stop, from the end: OUT is switched some 130 to 190 stops before the end."""

LOG, CACHE = "log.json", "embeddings.bin"
RECORDS = ("state-0.json", "state-1.json", "lock")
"""Of a slot; they tell how often it was started, which depends on the kills."""


@pytest.fixture(scope="session")
def bundle(bundle_path) -> Bundle:
    """The int8 .tflite alone."""
    return small_bundle(bundle_path)


def _new_file(template: Path, place: Path, bundle: Bundle) -> tuple[Path, Path, list[str]]:
    bundle.write(template / "model.edgecnn")
    return place / "model.edgecnn", place / "tuned.edgecnn", []


def _bare_file_over_an_old_one(template: Path, place: Path, bundle: Bundle) -> tuple[Path, Path, list[str]]:
    for name in ("model.tflite", "tuned.tflite"):
        (template / name).write_bytes(bundle.artifacts[0].data)
    return place / "model.tflite", place / "tuned.tflite", ["--input-range", "0,1"]


def _in_place(template: Path, place: Path, bundle: Bundle) -> tuple[Path, Path, list[str]]:
    bundle.write(template / "model.edgecnn")
    return place / "model.edgecnn", place / "model.edgecnn", []


def _with_a_cache(template: Path, place: Path, bundle: Bundle) -> tuple[Path, Path, list[str]]:
    bundle.write(template / "model.edgecnn")
    return place / "model.edgecnn", place / "tuned.edgecnn", ["--cache", str(place / CACHE)]


def _slot(template: Path, place: Path, bundle: Bundle) -> tuple[Path, Path, list[str]]:
    with open_for_change(template / "slot", create=True) as writer:
        writer.install(bundle.to_bytes(), "base.edgecnn", check_here)
    return place / "slot", place / "slot", []


SCENES: dict[str, Callable[[Path, Path, Bundle], tuple[Path, Path, list[str]]]] = {
    scene.__name__.strip("_"): scene
    for scene in (_new_file, _bare_file_over_an_old_one, _in_place, _with_a_cache, _slot)
}


def kill(name: str, work: Path, bundle: Bundle, how: str, *numbers: int) -> int:
    """Let the driver kill the command of a scene again and again, and judge what it tells; how many kills."""
    from edge_cnn.host.datasets import load_dataset

    work = work / f"{name}-{how}"
    template, data, images = work / "template", work / "data", work / "images.npz"
    template.mkdir(parents=True)
    digits = load_dataset("optdigits").train
    for number, (image, label) in enumerate(zip(digits.images[:SAMPLES], digits.labels[:SAMPLES], strict=True)):
        (data / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(data / str(label) / f"{number}.png")
    images.write_bytes(pack_npz({"x": digits.images[-64:]}))
    model, out, options = SCENES[name](template, work / "place", bundle)
    words = ["finetune", model, "--data", data, "--out", out, "--log", work / "place" / LOG, "--json", *options]
    request = {
        "words": [str(word) for word in words],
        "out": str(out),
        "in_place": model == out,
        "file": str(images),
    }
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(template), str(work), json.dumps(request), how, *map(str, numbers)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "ptrace is not allowed" in done.stderr:
        pytest.skip("ptrace is not allowed here: run with --cap-add=SYS_PTRACE in a container")
    assert done.returncode == 0, done.stderr
    before, whole, *found = [json.loads(line) for line in done.stdout.splitlines()]
    kills = [one for one in found if "at" in one]
    ends = [one for one in found if "ended" in one]
    versions = {one["version"]: one["answers"] for one in (before, whole)}
    assert len(versions) == 2
    # Whoever answers as before has not been tuned: the images are of writers that the model does not know well.
    assert before["answers"] != whole["answers"]
    for one in kills:
        assert one["version"] in versions, one
        assert one["answers"] == versions[one["version"]], one
    for one in ends:
        assert one["version"] == whole["version"], one
        assert one["answers"] == whole["answers"], one
        assert _settled(one) == _settled(whole)
    if how == "end":
        assert {one["version"] for one in kills} == set(versions)
    return len(kills)


def _settled(found: dict[str, Any]) -> dict[str, str | None]:
    """Files that must be the same at every end."""
    return {name: sha256 for name, sha256 in found["files"].items() if Path(name).name not in RECORDS}


EVERYDAY = ("new_file", "slot")
"""Scenes of the everyday loop; the others write OUT in one of these two ways, and are killed in the slow tests."""


def everyday(names: Iterable[str], among: Collection[str] = EVERYDAY) -> list[Any]:
    """The names as parameters, of which those that are not `among` the everyday ones are slow."""
    return [name if name in among else pytest.param(name, marks=pytest.mark.slow) for name in names]


@needs_ptrace
@pytest.mark.parametrize("name", everyday(SCENES))
def test_killed_at_system_calls_it_resumes_to_the_same_bytes(name, work, bundle):
    assert kill(name, work, bundle, "calls", CALLS_EVERY) >= 5


@needs_ptrace
@pytest.mark.parametrize("name", everyday(["in_place", "slot"], ["in_place"]))
def test_killed_around_the_switch_the_tuned_model_is_not_tuned_again(name, work, bundle):
    assert kill(name, work, bundle, "end", *AROUND_THE_SWITCH) >= 5


@needs_ptrace
@pytest.mark.parametrize("name", everyday(["new_file", "in_place"]))
def test_killed_again_while_it_resumes_it_still_ends_with_the_same_bytes(name, work, bundle):
    assert kill(name, work, bundle, "chains", 2, 3, 0) >= 3


@pytest.mark.slow
@needs_ptrace
def test_hundreds_of_kills_at_system_calls_at_random_times_and_in_a_row(work, bundle, record_property):
    """Stops at system calls in every scene, more densely where OUT is written; random times; five kills in a row.

    On x86-64 that is some 700 kills, each resumed, in about 2.5 minutes of processor time; those of the slot itself
    come on top (`test_slot_kills.py`).
    """
    plans = [
        (name, work, bundle, *plan)
        for seed, name in enumerate(SCENES)
        for plan in (("calls", 59), ("end", 6, 300), ("times", 20, seed), ("chains", 8, 5, seed))
    ]
    # A driver has one thread.
    with ThreadPoolExecutor(2) as drivers:
        kills = list(drivers.map(lambda plan: kill(*plan), plans))
    record_property("kills", {f"{plan[0]} {plan[3]}": count for plan, count in zip(plans, kills, strict=True)})
    assert sum(kills) >= 600
