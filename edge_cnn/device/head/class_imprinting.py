"""Where a new class starts: weights along the mean direction of its own samples (Qi, Brown and Lowe 2018, "Low-Shot
Learning with Imprinted Weights", section 3.2).

There the classifier compares directions alone. This one has lengths and biases as well, so the imprinted weights take
the typical length of the old ones, and the bias is such that the samples of the new class reach the logit that those of
the old classes reach in theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.head.quantization import SMALLEST_NORMAL
from edge_cnn.device.training.embedding_rows import EmbeddingRows, each_block
from edge_cnn.device.training.problem import Parameters


def without_classes(head: Parameters, new: Sequence[int]) -> Parameters:
    """A head that says nothing of the classes `new`: their rows are 0, a logit that any class of its own beats.

    A resized file holds them down with a very low bias instead, which is no place to be drawn to.
    """
    blank = head.copy()
    blank[list(new)] = 0.0
    return blank


def imprint_classes(
    start: Parameters, rows: EmbeddingRows, labels: NDArray[np.int64], new: Sequence[int]
) -> Parameters:
    """`start` with the rows of the classes `new` imprinted; a class without samples keeps its row.

    Args:
        start: float32 (classes, features + 1), the bias last.
        rows: standardized embeddings with a 1 at their end, (n, features + 1).
        labels: int64 (n,).
        new: indices of the new classes.
    """
    if not new:
        return start
    result = start.copy()
    old = np.setdiff1d(np.arange(len(start)), np.asarray(new))
    length = float(np.median(np.linalg.norm(start[old, :-1], axis=1)))
    shape = (len(start), start.shape[1] - 1)
    directions, sums, counts = np.zeros(shape), np.zeros(shape), np.bincount(labels, minlength=len(start))
    own = 0.0
    for where, z in each_block(rows):
        features, block = z[:, :-1].astype(np.float64), labels[where]
        lengths = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), SMALLEST_NORMAL)
        np.add.at(directions, block, features / lengths)
        np.add.at(sums, block, features)
        known = np.isin(block, old)
        own += float((z[known] * start[block[known]]).sum(dtype=np.float64))
    # What a sample of an old class gets for its own class, on average.
    own /= max(int(counts[old].sum()), 1)
    for label in new:
        if counts[label]:
            weights = length * directions[label] / max(float(np.linalg.norm(directions[label])), SMALLEST_NORMAL)
            result[label, :-1] = weights
            result[label, -1] = own - float(sums[label] @ weights) / counts[label]
    return result
