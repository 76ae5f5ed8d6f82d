"""What the last layer can reach, said before anything is trained for good: a cross-validated linear probe.

The same folds choose how strongly L2 pulls: with a few dozen samples it must pull hard, with thousands hardly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.core.labelled_images import stratified_sample
from edge_cnn.device.training.blas_threads import one_blas_thread
from edge_cnn.device.training.embedding_rows import EmbeddingRows
from edge_cnn.device.training.head_training import TrainingConfig, pose_problem, train_head
from edge_cnn.device.training.optimizers.table import AUTO
from edge_cnn.device.training.problem import Parameters, hits, loss_and_accuracy

FOLDS = 5

ENOUGH_JUDGED = 1000
"""Held-out answers after which no further fold is tried: the interval is then less than 6 points wide."""

MOST_SAMPLES = 2000
"""A probe of more samples would take as long as the training it precedes."""

L2_PATH = (1.0, 0.3, 0.1, 3e-2, 1e-2, 3e-3, 1e-3)
"""From the strongest pull on: each start is the last optimum."""


@dataclass(frozen=True)
class PredictedGain:
    """What the last layer can reach on the new samples.

    Attributes:
        before: share that the model answers right now.
        accuracy: share that a probe answers right which has not seen them.
        interval: 95 % confidence interval of `accuracy` (Wilson).
        judged: samples that were judged.
        l2: the pull that did best, as a prior among all samples, or the one that was asked for.
    """

    before: float
    accuracy: float
    interval: tuple[float, float]
    judged: int
    l2: float

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "judged": self.judged,
        }


@one_blas_thread()
def predict_gain(
    rows: EmbeddingRows,
    labels: NDArray[np.int64],
    is_new: NDArray[np.bool_],
    head: Parameters,
    config: TrainingConfig,
    rng: np.random.Generator,
    threads: int = 1,
) -> PredictedGain:
    """Train on all folds but one, judge the one, and so on; choose L2 on the way where it is not given.

    Args:
        rows: standardized embeddings of the samples that will be trained on.
        labels: int64 (n,).
        is_new: bool (n,), of the samples to be learned; replayed ones train and choose, but are not counted.
        head: the model's own, for these rows, float32 (classes, features + 1).
        config: balancing, smoothing, anchor and L2 are taken from it.
        rng: source of the folds.
        threads: that work at once.
    """
    members = np.sort(stratified_sample(labels, MOST_SAMPLES, rng))
    probed, targets, counted = rows.select(members), labels[members], is_new[members]
    path = L2_PATH if config.l2 is None else (config.l2,)
    # Mini-batches are for large sets, and a step that was given for one L2 is wrong for another.
    solver = replace(config, optimizer=AUTO, settings=replace(config.settings, learning_rate=None))
    losses, right, known, judged = np.zeros(len(path)), np.zeros(len(path), np.int64), 0, 0
    for inside, outside in _folds(targets, rng):
        problem = pose_problem(probed.select(inside), targets[inside], head, path[0], config, threads)
        held, held_targets, new = probed.select(outside), targets[outside], counted[outside]
        known += int(np.count_nonzero(hits(held, held_targets, head)[new]))
        judged += int(np.count_nonzero(new))
        parameters = problem.anchor
        for at, l2 in enumerate(path):
            parameters = train_head(replace(problem, l2=l2), parameters, solver, rng).parameters
            losses[at] += loss_and_accuracy(held, held_targets, parameters)[0] * len(outside)
            right[at] += int(np.count_nonzero(hits(held, held_targets, parameters)[new]))
        if judged >= ENOUGH_JUDGED:
            break
    chosen = int(losses.argmin())
    reached = int(right[chosen])
    # The pull is a prior worth l2 * n samples: of more samples it is a smaller share.
    l2 = path[chosen] * (len(members) / len(labels) if config.l2 is None else 1.0)
    share = 1.0 / max(judged, 1)
    return PredictedGain(known * share, reached * share, wilson_interval(reached, judged), judged, l2)


def _folds(
    labels: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to train on and rows to judge, `FOLDS` times; each class is dealt out evenly."""
    fold_of = np.empty(len(labels), np.int64)
    dealt = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold_of[members] = (np.arange(len(members)) + dealt) % FOLDS
        dealt += len(members)
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if len(inside) and len(outside):
            yield inside, outside
