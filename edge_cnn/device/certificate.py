"""How good a trained head can still be said to be: bounds that hold for this very problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.softmax_head import SoftmaxHead


@dataclass(frozen=True)
class Certificate:
    """Two bounds.

    Attributes:
        loss_gap_bound: the regularized training loss is at most this far, in nats, above its global minimum.
        max_logit_error: largest difference on held-out embeddings between the logits of the float head and of the
            file it was written into, among those above `head_quantization.LOGITS_FLOOR`.
    """

    loss_gap_bound: float
    max_logit_error: float


def loss_gap_bound(head: SoftmaxHead, embeddings: NDArray[Any], labels: NDArray[np.int64], l2: float) -> float:
    """|gradient|^2 / (2 l2): the loss is l2-strongly convex (Polyak-Lojasiewicz inequality; Nesterov 2004, 2.1.19).

    Early stopping ends before the minimum on purpose, so a large bound is not a defect.
    """
    wide = SoftmaxHead(head.weights.astype(np.float64), head.bias.astype(np.float64))
    gradient = wide.gradient(embeddings.astype(np.float64), labels, l2)
    square = float(np.vdot(gradient.weights, gradient.weights) + np.vdot(gradient.bias, gradient.bias))
    return square / (2.0 * l2)
