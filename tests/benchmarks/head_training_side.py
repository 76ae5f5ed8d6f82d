"""One task of one side of the benchmark of head training, in a process of its own: `head_training.py` starts it.

What the fewest iterations are that are good enough is found first, and with which of the side's settings they take the
least time; then exactly that is timed, so that no side pays for checking, and each is given the stopping rule of an
oracle.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from head_peers import SIDES
from head_shapes import Embeddings, load
from head_side import L2, Fit, Side

LOSS, ACCURACY = "loss", "accuracy"
NEAR_LOSS, NEAR_ACCURACY = 1.01, 0.005
"""Good enough: the least loss times this, and the optimum's held-out accuracy less this."""

Found = dict[str, Any]
"""Iterations, the number of the setting, and its name."""


def loss(z: np.ndarray, labels: np.ndarray, parameters: np.ndarray) -> float:
    """Regularized cross-entropy in float64."""
    wide = parameters.astype(np.float64)
    logits = z.astype(np.float64) @ wide.T
    logits -= logits.max(axis=1, keepdims=True)
    picked = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - picked)) + L2 / 2 * float(np.vdot(wide, wide))


def accuracy(z: np.ndarray, labels: np.ndarray, parameters: np.ndarray) -> float:
    """Share of right answers."""
    return float(np.mean((z @ parameters.T).argmax(axis=1) == labels))


def optimum(embeddings: Embeddings) -> dict[str, float]:
    """Loss and held-out accuracy of scikit-learn's solution in float64 to a gradient of 1e-7."""
    from sklearn.linear_model import LogisticRegression

    z, held = embeddings.inputs(), embeddings.held_inputs()
    model = LogisticRegression(C=1 / (L2 * len(z)), fit_intercept=False, tol=1e-7, max_iter=10_000)
    best = model.fit(z.astype(np.float64), embeddings.labels).coef_
    return {LOSS: loss(z, embeddings.labels, best), ACCURACY: accuracy(held, embeddings.held_labels, best)}


def missing(side: Side) -> dict[str, str | None]:
    """Why the side cannot run here, in one line."""
    for name in side.imports:
        try:
            importlib.import_module(name)
        except ImportError as error:
            why = str(error).splitlines()[0]
            return {"missing": f"{name} cannot be imported ({why}); {side.install} installs it"}
    return {"missing": None}


def find(side: Side, embeddings: Embeddings, threads: int, best: dict[str, float]) -> dict[str, Found | None]:
    """What takes the side the least time to each goal, None where it never gets there."""
    z, held = embeddings.inputs(), embeddings.held_inputs()
    goals: dict[str, Callable[[np.ndarray], bool]] = {
        ACCURACY: lambda v: accuracy(held, embeddings.held_labels, v) >= best[ACCURACY] - NEAR_ACCURACY
    }
    if side.for_loss:
        goals[LOSS] = lambda v: loss(z, embeddings.labels, v) <= NEAR_LOSS * best[LOSS]
    return {LOSS: None} | {goal: quickest(side, embeddings, threads, good) for goal, good in goals.items()}


def quickest(side: Side, embeddings: Embeddings, threads: int, good: Callable[[np.ndarray], bool]) -> Found | None:
    """Of the fewest good iterations of each setting, those that take the least time."""
    least, found = math.inf, None
    for number, setting in enumerate(side.settings):
        fit = side.prepare(embeddings, threads, setting)
        fit(1)  # what is done only once is not timed
        for iterations in side.grid:
            start = time.perf_counter()
            parameters = fit(iterations)
            spent = (time.perf_counter() - start) * 1e3
            if good(parameters):
                spent = min(spent, milliseconds(fit, iterations, 3)) if len(side.settings) > 1 else spent
                if spent < least:
                    least, found = spent, {"iterations": iterations, "setting": number, "name": str(setting)}
                break
            if spent > 2 * least:
                break  # another setting is there already; the factor is for noise
    return found


def milliseconds(fit: Fit, iterations: int, repeats: int) -> float:
    """Least time of so many iterations from the start: what others do on the machine only ever adds to it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        fit(iterations)
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def times(side: Side, embeddings: Embeddings, threads: int, found: dict[str, Found | None], repeats: int) -> Found:
    """Milliseconds to each goal, None where the side never gets there."""
    spent: dict[str, float | None] = {}
    for goal, one in found.items():
        if one is not None:
            fit = side.prepare(embeddings, threads, side.settings[one["setting"]])
            fit(1)
        spent[goal] = None if one is None else milliseconds(fit, one["iterations"], repeats)
    return spent


def peak_memory_mb(side: Side, embeddings: Embeddings, threads: int, found: dict[str, Found | None]) -> float:
    """Highest resident memory of preparation and the longest timed fit above what imports and codes take (Linux)."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    runs = [one for one in found.values() if one is not None] or [{"iterations": 5, "setting": 0}]
    longest = max(runs, key=lambda one: one["iterations"])
    setting = side.settings[longest["setting"]]
    # Imports, the buffers of BLAS, and pages of libraries that only a later iteration asks for.
    side.prepare(embeddings.warm_up(), threads, setting)(longest["iterations"])
    before = int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0])
    clear.write_text("5")
    side.prepare(embeddings, threads, setting)(longest["iterations"])
    return (int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) - before) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("missing", "convert", "optimum", "find", "time", "memory"))
    parser.add_argument("data", type=Path, help="the embeddings; of no use for `missing`")
    parser.add_argument("--side", choices=list(SIDES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--optimum", type=json.loads)
    parser.add_argument("--found", type=json.loads)
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # iterations are cut short on purpose
    answer: Any = None
    if asked.task == "missing":
        answer = missing(SIDES[asked.side])
    else:
        embeddings = load(asked.data)
        if asked.task == "optimum":
            answer = optimum(embeddings)
        else:
            side = SIDES[asked.side]
            if asked.task == "convert":
                for part in (embeddings, embeddings.warm_up()):
                    side.convert(part, side.settings)
            elif asked.task == "find":
                answer = find(side, embeddings, asked.threads, asked.optimum)
            elif asked.task == "time":
                answer = times(side, embeddings, asked.threads, asked.found, asked.repeats)
            else:
                answer = {"memory_mb": peak_memory_mb(side, embeddings, asked.threads, asked.found)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
