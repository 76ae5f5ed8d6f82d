"""How good a trained head can still be said to be: bounds that hold for this very problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.training.blas_threads import one_blas_thread
from edge_cnn.device.training.problem import HeadProblem


@dataclass(frozen=True)
class Certificate:
    """Two bounds.

    Attributes:
        loss_gap_bound: the regularized training loss is at most this far, in nats, above its global minimum.
        max_logit_error: largest difference on held-out embeddings between the logits of the float head and of the
            file it was written into, among those above `head.quantization.LOGITS_FLOOR`.
    """

    loss_gap_bound: float
    max_logit_error: float


@one_blas_thread()
def loss_gap_bound(problem: HeadProblem, parameters: NDArray[np.floating]) -> float:
    """|gradient|^2 / (2 l2): the loss is l2-strongly convex (Polyak-Lojasiewicz inequality; Nesterov 2004, 2.1.19).

    Weights of samples and smoothed labels change neither the convexity of the cross-entropy nor the L2 term, so the
    bound is the same with them. It is computed in float64. Early stopping ends before the minimum on purpose, so a
    large bound is not a defect.
    """
    _, gradient = problem.exact_value_and_gradient(parameters)
    return float(np.vdot(gradient, gradient)) / (2.0 * problem.l2)
