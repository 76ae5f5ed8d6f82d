"""Kills one command `edge-cnn finetune` again and again, resumes it, and tells what is there after each.

    python finetune_kill_driver.py TEMPLATE WORK REQUEST calls STRIDE
    python finetune_kill_driver.py TEMPLATE WORK REQUEST end STRIDE LAST
    python finetune_kill_driver.py TEMPLATE WORK REQUEST times COUNT SEED
    python finetune_kill_driver.py TEMPLATE WORK REQUEST chains COUNT LENGTH SEED

TEMPLATE is copied to WORK/place before each first start, and the command's paths are below that. REQUEST is JSON:
{"words": the command's arguments, "out": where the tuned model goes, a file or a slot, "in_place": whether it is the
model's own place, "file": inputs for the model}. `chains` kills the resumed commands too, each LENGTH times before it
may end, at random stops and random times in turn; `end` kills at the LAST stops only, where OUT is written.

Lines of JSON: one before, one after an uninterrupted run, one a kill with "at", and one an end with "ended":
{"version": SHA-256 of what `out` holds, "answers": the classes it gives to "file", "files": SHA-256 by name}.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_cnn.cli import slot_tuning
from edge_cnn.cli.main import main as edge_cnn
from edge_cnn.core.errors import EdgeCnnError
from edge_cnn.device.finetuning import embedding_cache, finetuning
from edge_cnn.device.finetuning import work as finetune_work
from edge_cnn.device.slots.folder import is_slot, read_state
from edge_cnn.verify import slot_check
from edge_cnn.verify.opening import open_classifier
from tests.slots.killing import in_child, killed_at_calls, killed_at_times, traced

RUNS = 5
"""That are counted to find where the last stops begin."""


def found_at(place: Path, out: Path, images: Any) -> dict[str, Any]:
    """What a fresh process finds; a slot's version is checked by its golden samples at this start."""
    reading, writing = os.pipe()

    def look() -> None:
        told: dict[str, Any] = {"version": None, "answers": None}
        try:
            if out.exists():
                told["answers"] = open_classifier(out).predict(images).indices.tolist()
                told["version"] = version_of(out)
        except EdgeCnnError as error:
            told["answers"] = str(error)
        os.write(writing, json.dumps(told).encode())

    child = in_child(look)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = json.loads(pipe.read())
    os.waitpid(child, 0)
    files = [path for path in place.rglob("*") if not path.is_dir() or not any(path.iterdir())]
    return told | {"files": {str(path.relative_to(place)): sha256_of(path) for path in sorted(files)}}


def version_of(out: Path) -> str | None:
    if not is_slot(out):
        return sha256_of(out)
    record = read_state(out).record
    return record.active_version.sha256 if record is not None else None


def sha256_of(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def stops_of(work: Callable[[], None], renew: Callable[[], None]) -> int:
    renew()
    return traced(work, sys.maxsize)[1]


def killed_in_chains(
    renew: Callable[[], None],
    first: Callable[[], None],
    again: Callable[[], None],
    count: int,
    length: int,
    seed: int,
    is_over: Callable[[], bool],
) -> Iterator[str | None]:
    """Kills of `first`, then of `again`, until it was `length` times or the work is over; None at the end of each."""
    generator = random.Random(seed)  # chooses times, guards nothing
    stops = stops_of(first, renew)
    renew()
    begin = time.perf_counter()
    os.waitpid(in_child(first), 0)
    whole = time.perf_counter() - begin
    for chain in range(count):
        renew()
        for number in range(length):
            if number and is_over():
                break
            work = again if number else first
            # What is left to do becomes less.
            share = generator.random() / (number + 1)
            if (chain + number) % 2:
                stop = 1 + int(share * stops)
                killed, _ = traced(work, stop)
                at = f"stop {stop}"
            else:
                wait = share * whole
                child = in_child(work)
                time.sleep(wait)
                os.kill(child, signal.SIGKILL)
                killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
                at = f"{1e3 * wait:.2f} ms"
            if not killed:
                break
            yield f"chain {chain}, kill {number + 1}, {at}"
        yield None


def main() -> None:
    template, work, request = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    how, numbers = sys.argv[4], [int(word) for word in sys.argv[5:]]
    place, out = work / "place", Path(request["out"])
    with np.load(request["file"]) as arrays:
        images = arrays["x"]

    def renew() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(template, place)

    def tune(*more: str) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = edge_cnn([*request["words"], *more])
        if status:
            os.write(2, said.getvalue().encode())
            os._exit(status)

    def resume() -> None:
        tune("--resume")

    def tell(more: dict[str, Any]) -> None:
        print(json.dumps(more | found_at(place, out, images)), flush=True)  # noqa: T201  # the answer

    tuning = out.with_name(out.name + finetune_work.SUFFIX)

    def is_over() -> bool:
        """Whether nothing is left that could tell the tuned model in its own place from one that nobody has tuned."""
        return request["in_place"] and version_of(out) != before and not (tuning / finetune_work.RESULT).exists()

    def finish() -> None:
        if is_over():
            with contextlib.suppress(FileNotFoundError):
                tuning.rmdir()
        else:
            _, status = os.waitpid(in_child(resume), 0)
            if status:
                sys.exit("error: what was killed cannot be resumed")
        tell({"ended": True})

    def check_fit(path: Path) -> None:
        """Without a process of its own, which `check_here` starts for each check."""
        open_classifier(path).predict(images)

    slot_tuning.check_here = slot_check.check_here = check_fit
    renew()
    before = version_of(out) if out.exists() else None
    tell({"before": True})
    # In this process, so that what is imported late is not imported in each child.
    tune()
    tell({"uninterrupted": True})
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a child of a fork has only the thread that forked it"
    # A small fine-tuning does all that a long one does: several batches, and every pass is saved.
    finetuning.BATCH, finetune_work.SAVE_SECONDS, embedding_cache.SYNC_SECONDS = 16, 0.0, 0.0
    if how == "chains":
        for at in killed_in_chains(renew, tune, resume, *numbers, is_over):
            if at is None:
                finish()
            else:
                tell({"at": at})
        return
    if how == "end":
        # Runs differ by some 250 stops: the kills begin before the switch in the shortest one, and go on until a run
        # has ended by itself.
        numbers[1] = min(stops_of(tune, renew) for _ in range(RUNS)) - numbers[1]
    for at in (killed_at_times if how == "times" else killed_at_calls)(renew, tune, *numbers):
        tell({"at": at})
        finish()


main()
