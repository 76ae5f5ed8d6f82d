"""`make bench-head`: training of the last layer against scikit-learn, Coral's recipe, PyTorch and TFLite.

Three figures: time to come within 1 % of the least regularized loss (goal: geometric mean over shapes at most 0.7 of
LogisticRegression's, none above 1.2), time to within half a point of the optimum's held-out accuracy (goal: at most 0.3
of the fastest peer's of all that come so far), and peak memory above the codes that the backbone gave (goal: below
every peer's). Every side runs in a process of its own, the sides take turns, and ratios are medians over rounds.
Nothing fails here: times are noisy. Sides whose packages are not installed are left out, with a note.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from head_peers import SIDES
from head_shapes import QUICK, Embeddings, save, sources, synthetic
from head_table import OURS, compare, median_ms, summary, table
from head_training_side import ACCURACY, LOSS

HERE = Path(__file__).resolve().parent
ROUNDS, REPEATS = 3, 9


def call(task: str, data: Path, threads: int, side: str | None = None, **options: Any) -> Any:
    """One task in a process of its own; numpy's threads are limited by its environment, as a user would limit them."""
    before = os.environ.get("PYTHONPATH")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE), *([before] if before else [])]),
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, str(HERE / "head_training_side.py"), task, str(data), "--threads", str(threads)]
    command += [] if side is None else ["--side", side]
    for name, value in options.items():
        command += [f"--{name}", json.dumps(value)]
    # What libraries chat about while they load or convert is of use only where they fail.
    child = subprocess.run(command, capture_output=True, env=environment, check=False)
    if child.returncode:
        sys.stderr.write(child.stderr.decode(errors="replace"))
        raise SystemExit(f"error: {task} of {side or 'the optimum'} failed with status {child.returncode}; see above")
    return json.loads(child.stdout.splitlines()[-1])


class Progress:
    """What is being done, on stderr: one line that changes on a terminal, else a line each."""

    def __init__(self, title: str, steps: int) -> None:
        self._title, self._steps, self._done = title, steps, 0

    def step(self, what: str) -> None:
        self._done += 1
        line = f"{self._title}: {what} ({self._done} of {self._steps})"
        sys.stderr.write(f"\r\x1b[K{line}" if sys.stderr.isatty() else f"{line}\n")
        if self._done == self._steps and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def usable(names: list[str]) -> list[str]:
    """Those of the sides whose packages can be imported; the others are named on stderr."""
    here = []
    for name in names:
        lacking = call("missing", HERE, 1, name)["missing"] if SIDES[name].imports else None
        if lacking:
            sys.stderr.write(f"note: {name} is left out: {lacking}\n")
        else:
            here.append(name)
    return here


def measure(
    embeddings: Embeddings, data: Path, title: str, names: list[str], asked: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """One result a number of threads: per side what was found, the times in ms, and the peak memory in MB."""
    save(embeddings, data)
    converted = [name for name in names if SIDES[name].convert]
    progress = Progress(title, 1 + len(converted) + len(asked.threads) * len(names) * (asked.rounds + 2))
    progress.step("the optimum")
    best = call("optimum", data, max(asked.threads))
    for name in converted:
        progress.step(f"files for {name}")
        call("convert", data, 1, name)
    for threads in asked.threads:
        on = f"{threads} thread{'s' if threads > 1 else ''}"
        found = {}
        for name in names:
            progress.step(f"{name}, {on}, how many iterations")
            found[name] = call("find", data, threads, name, optimum=best)
        times: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(asked.rounds):
            for name in sorted(names, reverse=bool(number % 2)):
                progress.step(f"{name}, {on}, round {number + 1} of {asked.rounds}")
                times[name].append(call("time", data, threads, name, found=found[name], repeats=asked.repeats))
        memory = {}
        for name in names:
            progress.step(f"{name}, {on}, memory")
            memory[name] = call("memory", data, threads, name, found=found[name])["memory_mb"]
        yield {
            "embeddings": embeddings.name,
            "threads": threads,
            "optimum": best,
            "found": found,
            "ms": {name: {goal: median_ms(times, name, goal) for goal in (LOSS, ACCURACY)} for name in names},
            "memory_mb": memory,
        } | compare(times, memory)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each round the least time counts")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the embeddings, from 0")
    parser.add_argument(
        "--shape", type=int, nargs=3, action="append", metavar=("SAMPLES", "FEATURES", "CLASSES"), help="instead"
    )
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), help=f"{OURS} always runs")
    parser.add_argument("--quick", action="store_true", help="two shapes, one thread, one round: some two minutes")
    parser.add_argument("--json", type=Path, help="also write all figures there")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.threads = 1, [1]
        asked.only = list(QUICK) if asked.only is None else asked.only
    return asked


def chosen(asked: argparse.Namespace) -> list[Callable[[], Embeddings]]:
    """What makes the embeddings that are asked for."""
    if asked.shape:
        return [partial(synthetic, *shape) for shape in asked.shape]
    everything = sources()
    if asked.only is not None:
        wrong = [number for number in asked.only if not 0 <= number < len(everything)]
        if wrong:
            raise SystemExit(f"error: no embeddings {wrong[0]}; there are 0 to {len(everything) - 1}")
        return [everything[number] for number in asked.only]
    if "EDGE_CNN_DATA" not in os.environ:
        sys.stderr.write("note: no real embeddings; EDGE_CNN_DATA=FOLDER with cifar10/ and mlperf_tiny/ adds them\n")
    return everything


def main() -> int:
    asked = parse()
    names = usable([name for name in SIDES if name == OURS or name in asked.sides])
    makers = chosen(asked)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, make in enumerate(makers, 1):
            embeddings = make()
            title = f"[{number}/{len(makers)}] {embeddings.name}"
            results += measure(embeddings, Path(folder) / "embeddings.npz", title, names, asked)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.stdout.write(table(results) + "\n" + summary(results) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
