"""The samples that cost a network most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.objectives import CROSS_ENTROPY, SQUARED_ERROR

_SMALLEST = float(np.finfo(np.float32).tiny)
"""Scores are float32, in which a softmax may be 0."""


def sample_losses(
    scores: NDArray[np.floating], labels: NDArray[np.int64], objective_name: str = CROSS_ENTROPY
) -> NDArray[np.float64]:
    """The loss of each sample of a classifier, float64 (n,).

    Args:
        scores: (n, classes), each row sums to 1.
        labels: the truth, int64 (n,).
        objective_name: "cross-entropy" (nats, 87 at most) or "squared-error".

    Raises:
        InputError: an objective that has no classes.
    """
    if objective_name == CROSS_ENTROPY:
        return -np.log(np.maximum(scores[np.arange(len(labels)), labels].astype(np.float64), _SMALLEST))
    if objective_name == SQUARED_ERROR:
        return np.sum((scores.astype(np.float64) - np.eye(scores.shape[1])[labels]) ** 2, axis=1)
    raise InputError(f"{objective_name} has no scores of classes; give {CROSS_ENTROPY} or {SQUARED_ERROR}")


def hardest(losses: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Rows of the samples with the largest losses (n,), the largest first, `count` at most."""
    return np.argsort(-losses, kind="stable")[:count]
