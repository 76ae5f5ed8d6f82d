"""One side of the benchmark of head training, in a process of its own: `head_training.py` starts it.

A side is a function of a number of iterations. What the fewest are that are good enough is found first; then exactly
that many are timed, so that no side pays for checking, and each is given the stopping rule of an oracle.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from head_shapes import Embeddings, load

L2 = 1e-3
LOSS, ACCURACY = "loss", "accuracy"
CORAL_BATCH, CORAL_RATE = 100, 0.01

Fit = Callable[[int], np.ndarray]
"""Iterations -> parameters (classes, features + 1) on standardized features."""


@dataclass(frozen=True)
class Side:
    """Makes the fit of some embeddings for a number of threads; what it makes before the fit is not timed."""

    prepare: Callable[[Embeddings, int], Fit]
    grid: tuple[int, ...]


def edge_cnn_side(embeddings: Embeddings, threads: int) -> Fit:
    """From the codes, under the default memory budget: those that do not fit in it as floats are streamed."""
    from edge_cnn.core.quantization import QuantizationParams
    from edge_cnn.device.embedding_rows import open_rows
    from edge_cnn.device.head_problem import HeadProblem
    from edge_cnn.device.head_training import TrainingConfig, train_head
    from edge_cnn.device.optimizers.optimizer import OptimizerSettings
    from edge_cnn.device.standardization import fit_standardization

    standardization = fit_standardization(embeddings.codes)
    memory = OptimizerSettings().memory
    rows = open_rows(embeddings.codes, QuantizationParams((1.0,), (0,)), standardization, memory)
    zero = np.zeros((embeddings.classes, rows.width), np.float32)

    def fit(iterations: int) -> np.ndarray:
        problem = HeadProblem(rows, embeddings.labels, zero, L2, threads=threads)
        # A tolerance of nearly nothing: the iterations are given.
        config = TrainingConfig("quasi-newton", OptimizerSettings(iterations, tolerance=1e-9), patience=None)
        return train_head(problem, zero, config, np.random.default_rng(0)).parameters

    return fit


def logistic_regression(embeddings: Embeddings, threads: int) -> Fit:
    """scikit-learn; the column of ones is its intercept, with the same L2 on it."""
    from sklearn.linear_model import LogisticRegression

    del threads  # its products take what OPENBLAS_NUM_THREADS says
    z, _ = embeddings.standardized()
    c = 1 / (L2 * len(z))

    def fit(iterations: int) -> np.ndarray:
        return (
            LogisticRegression(C=c, fit_intercept=False, tol=1e-12, max_iter=iterations).fit(z, embeddings.labels).coef_
        )

    return fit


def sgd_classifier(embeddings: Embeddings, threads: int) -> Fit:
    """scikit-learn, one classifier a class."""
    from sklearn.linear_model import SGDClassifier

    z, _ = embeddings.standardized()

    def fit(iterations: int) -> np.ndarray:
        model = SGDClassifier(
            loss="log_loss",
            alpha=L2,
            fit_intercept=False,
            max_iter=iterations,
            tol=None,
            random_state=0,
            n_jobs=threads,
        )
        return model.fit(z, embeddings.labels).coef_

    return fit


def coral_recipe(embeddings: Embeddings, threads: int) -> Fit:
    """Coral's SoftmaxRegression (pycoral, learn/backprop): random batches of 100, learning rate 0.01, no decay."""
    del threads
    z, _ = embeddings.standardized()
    targets = np.eye(embeddings.classes, dtype=np.float32)[embeddings.labels]

    def fit(iterations: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        weights = (0.01 * rng.normal(size=(embeddings.classes, z.shape[1]))).astype(np.float32)
        for _ in range(iterations):
            chosen = rng.integers(0, len(z), CORAL_BATCH)
            batch = z[chosen]
            logits = batch @ weights.T
            logits -= logits.max(axis=1, keepdims=True)
            np.exp(logits, out=logits)
            logits /= logits.sum(axis=1, keepdims=True)
            logits -= targets[chosen]
            weights -= np.float32(CORAL_RATE) * (logits.T @ batch / CORAL_BATCH + L2 * weights)
        return weights

    return fit


EVERY = (*range(1, 31), 35, 40, 50, 60, 80, 100, 150, 200, 300)
SIDES = {
    "edge_cnn": Side(edge_cnn_side, EVERY),
    "LogisticRegression": Side(logistic_regression, EVERY),
    "SGDClassifier": Side(sgd_classifier, (1, 2, 3, 5, 8, 12, 20)),
    "Coral's recipe": Side(coral_recipe, (*range(5, 100, 5), *range(100, 501, 20))),
}


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

    z, held = embeddings.standardized()
    model = LogisticRegression(C=1 / (L2 * len(z)), fit_intercept=False, tol=1e-7, max_iter=10_000)
    best = model.fit(z.astype(np.float64), embeddings.labels).coef_
    return {LOSS: loss(z, embeddings.labels, best), ACCURACY: accuracy(held, embeddings.held_labels, best)}


def fewest(side: Side, fit: Fit, good: Callable[[np.ndarray], bool]) -> int | None:
    """The fewest iterations of the side's grid that are good enough, None where none are."""
    return next((iterations for iterations in side.grid if good(fit(iterations))), None)


def milliseconds(fit: Fit, iterations: int, repeats: int) -> float:
    """Least time of so many iterations from the start: what others do on the machine only ever adds to it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        fit(iterations)
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def peak_memory_mb(name: str, embeddings: Embeddings, threads: int) -> float:
    """Highest resident memory of preparation and fit above what imports and codes take (Linux)."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    small = Embeddings("", embeddings.codes[:64], np.arange(64) % 2, embeddings.held_codes[:8], np.zeros(8, int), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SIDES[name].prepare(small, threads)(1)  # imports, and the buffers of BLAS
    before = int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0])
    clear.write_text("5")
    SIDES[name].prepare(embeddings, threads)(5)
    return (int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) - before) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("optimum", "find", "time", "memory"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--side", choices=list(SIDES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--optimum", type=json.loads)
    parser.add_argument("--iterations", type=json.loads)
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # iterations are cut short on purpose
    embeddings = load(asked.data)
    if asked.task == "optimum":
        answer = optimum(embeddings)
    elif asked.task == "memory":
        answer = {"memory_mb": peak_memory_mb(asked.side, embeddings, asked.threads)}
    else:
        side = SIDES[asked.side]
        fit = side.prepare(embeddings, asked.threads)
        if asked.task == "find":
            z, held = embeddings.standardized()
            near, right = asked.optimum[LOSS] * 1.01, asked.optimum[ACCURACY] - 0.005
            # One classifier a class, or batches at random, solve another problem than the loss asks for.
            comparable = asked.side in ("edge_cnn", "LogisticRegression")
            answer = {
                LOSS: fewest(side, fit, lambda v: loss(z, embeddings.labels, v) <= near) if comparable else None,
                ACCURACY: fewest(side, fit, lambda v: accuracy(held, embeddings.held_labels, v) >= right),
            }
        else:
            answer = {
                goal: milliseconds(fit, iterations, asked.repeats) if iterations else None
                for goal, iterations in asked.iterations.items()
            }
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
