"""Where a new class starts: weights along the mean direction of its own samples (Qi, Brown and Lowe 2018, "Low-Shot
Learning with Imprinted Weights", section 3.2).

There the classifier compares directions alone. This one has lengths and biases as well, so the imprinted weights take
the typical length of the old ones, and the bias is such that the samples of the new class reach the logit that those of
the old classes reach in theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.softmax_head import SoftmaxHead


def imprint_classes(
    start: SoftmaxHead, embeddings: NDArray[Any], labels: NDArray[np.int64], new: Sequence[int]
) -> SoftmaxHead:
    """`start` with the rows of the classes `new` imprinted; one without samples gets weights of 0.

    Args:
        start: on standardized features, (classes, features).
        embeddings: standardized (n, features).
        labels: int64 (n,).
        new: indices of the new classes.
    """
    if not new:
        return start
    weights, bias = start.weights.copy(), start.bias.copy()
    old = np.setdiff1d(np.arange(start.classes), np.asarray(new))
    length = float(np.median(np.linalg.norm(weights[old], axis=1)))
    known = np.isin(labels, old)
    # What a sample of an old class gets for its own class, on average.
    own = float(np.mean(bias[old]))
    if known.any():
        own = float(start.logits(embeddings[known])[np.arange(np.count_nonzero(known)), labels[known]].mean())
    lengths = np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    directions = embeddings / lengths
    for label in new:
        members = labels == label
        if not members.any():
            weights[label], bias[label] = 0.0, float(bias[old].min())
            continue
        mean = directions[members].mean(axis=0)
        weights[label] = length * mean / max(float(np.linalg.norm(mean)), np.finfo(np.float32).tiny)
        bias[label] = own - float((embeddings[members] @ weights[label]).mean())
    return SoftmaxHead(weights, bias)
