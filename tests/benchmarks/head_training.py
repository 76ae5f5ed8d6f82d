"""`make bench-head`: training of the last layer against scikit-learn and Coral's recipe, on one and on two threads.

Three figures: time to come within 1 % of the least regularized loss (goal: geometric mean over shapes at most 0.7 of
LogisticRegression's, none above 1.2), time to within half a point of the optimum's held-out accuracy (goal: at most 0.3
of the fastest peer's), and peak memory above the codes that the backbone gave (goal: below every peer's). Every side
runs in a process of its own, the sides take turns, and ratios are medians over rounds. Nothing fails here: times are
noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from head_shapes import SHAPES, Embeddings, corrupted_cifar, save, synthetic
from head_training_side import ACCURACY, LOSS, SIDES

HERE = Path(__file__).resolve().parent
OURS, EXACT = "edge_cnn", "LogisticRegression"
PEERS = tuple(name for name in SIDES if name != OURS)
ROUNDS = 3


def call(task: str, data: Path, threads: int, *options: str) -> dict[str, Any]:
    """One process of a side; numpy's threads are limited by its environment, as a user would limit them."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]),
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    command = [
        sys.executable,
        str(HERE / "head_training_side.py"),
        task,
        str(data),
        "--threads",
        str(threads),
        *options,
    ]
    child = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return json.loads(child.stdout)


def measure(
    embeddings: Embeddings, data: Path, thread_counts: tuple[int, ...], rounds: int
) -> Iterator[dict[str, Any]]:
    """One result a thread count: per side the iterations, the times in ms of each round, and the peak memory in MB."""
    save(embeddings, data)
    best = call("optimum", data, max(thread_counts))
    found = {name: call("find", data, 1, "--side", name, "--optimum", json.dumps(best)) for name in SIDES}
    for threads in thread_counts:
        times: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
        for number in range(rounds):
            for name in sorted(SIDES, reverse=bool(number % 2)):
                options = ("--side", name, "--iterations", json.dumps(found[name]))
                times[name].append(call("time", data, threads, *options))
        memory = {name: call("memory", data, threads, "--side", name)["memory_mb"] for name in SIDES}
        yield {
            "embeddings": embeddings.name,
            "threads": threads,
            "optimum": best,
            "iterations": found,
            "ms": {name: {goal: median(of(times[name], goal)) for goal in (LOSS, ACCURACY)} for name in SIDES},
            "memory_mb": memory,
            "loss_ratio": ratio(times, EXACT, LOSS),
            "accuracy_ratio": max(
                (r for name in PEERS if (r := ratio(times, name, ACCURACY)) is not None), default=None
            ),
            "memory_ratio": memory[OURS] / max(min(memory[name] for name in PEERS), 1e-3),
        }


def of(times: list[dict[str, Any]], goal: str) -> list[float]:
    return [one[goal] for one in times if one[goal] is not None]


def median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def ratio(times: dict[str, list[dict[str, Any]]], peer: str, goal: str) -> float | None:
    """Median over rounds of our time divided by the peer's; None where one of both never got there."""
    ours, theirs = of(times[OURS], goal), of(times[peer], goal)
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True)) if ours and theirs else None


def table(results: list[dict[str, Any]]) -> str:
    def ms(result: dict[str, Any], goal: str, name: str) -> str:
        value = result["ms"][name][goal]
        return "-" if value is None else f"{value:.1f}"

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    names = (OURS, *PEERS)
    rows = [
        ["embeddings", "threads", *(f"loss ms {n}" for n in (OURS, EXACT)), "ratio"]
        + [f"accuracy ms {n}" for n in names]
        + ["ratio", *(f"MB {n}" for n in names)]
    ]
    rows += [
        [r["embeddings"], str(r["threads"]), *(ms(r, LOSS, n) for n in (OURS, EXACT)), share(r["loss_ratio"])]
        + [ms(r, ACCURACY, n) for n in names]
        + [share(r["accuracy_ratio"]), *(f"{r['memory_mb'][n]:.1f}" for n in names)]
        for r in results
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def summary(results: list[dict[str, Any]]) -> str:
    """The goals, met or missed, a thread count."""
    lines = []
    for threads in sorted({r["threads"] for r in results}):
        mine = [r for r in results if r["threads"] == threads]
        losses = [r["loss_ratio"] for r in mine]
        mean, worst = statistics.geometric_mean(losses), max(losses)
        slowest = max(r["accuracy_ratio"] for r in mine if r["accuracy_ratio"] is not None)
        memory = max(r["memory_ratio"] for r in mine)
        lines.append(
            f"{threads} thread{'s' if threads > 1 else ''}: loss {mean:.2f} of {EXACT}'s time in geometric mean "
            f"({verdict(mean <= 0.7)} <= 0.7), at worst {worst:.2f} ({verdict(worst <= 1.2)} <= 1.2); accuracy at "
            f"worst {slowest:.2f} of the fastest peer's ({verdict(slowest <= 0.3)} <= 0.3); memory at "
            f"worst {memory:.2f} of the smallest peer's ({verdict(memory < 1)} < 1)"
        )
    return "\n".join(lines)


def verdict(fine: bool) -> str:
    return "met" if fine else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the embeddings, from 0")
    parser.add_argument("--json", type=Path, help="also write all figures there")
    asked = parser.parse_args()
    real = corrupted_cifar()
    if not real:
        sys.stderr.write("note: no real embeddings; EDGE_CNN_DATA=FOLDER with cifar10/ and mlperf_tiny/ adds them\n")
    everything = [synthetic(*shape) for shape in SHAPES] + real
    chosen = everything if asked.only is None else [everything[i] for i in asked.only]
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for embeddings in chosen:
            sys.stderr.write(f"training on {embeddings.name}\n")
            results += measure(embeddings, Path(folder) / "embeddings.npz", tuple(asked.threads), asked.rounds)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.stdout.write(table(results) + "\n" + summary(results) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
