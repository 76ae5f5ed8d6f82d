"""What the features alone tell of the loss's curvature: the metric in which quasi-Newton starts.

Where the probabilities of C classes are all alike, the Hessian of softmax regression is that of the features times the
centring of the classes, (I - 11^T/C)/C kron Z^T W Z / n + l2 I (Böhning 1992), and a first step by its inverse is
Newton's own. Later it is still right about which features vary together, which L-BFGS would need a step each to learn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.training.embedding_rows import over_blocks
from edge_cnn.device.training.problem import HeadProblem

WIDEST = 129
"""Features and the 1 up to which the covariance costs less than the steps that it saves."""

SAMPLES_PER_FEATURE = 8
"""Fewer samples can be told apart without error: then it is a few of them that make the curvature, not all alike."""

LEAST_SHARE = 1e-6
"""Of the trace, the least curvature that float32 can tell from 0."""


def is_worth_it(problem: HeadProblem) -> bool:
    """Whether the covariance of the features pays."""
    width = problem.rows.width
    return width <= WIDEST and problem.samples >= SAMPLES_PER_FEATURE * width


def inverse_curvature(problem: HeadProblem, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """(k Z^T W Z / n + l2 I)^-1, float32 (features + 1, features + 1).

    Args:
        problem: the samples.
        probabilities: (classes, n), where the descent starts; k is their mean variance over all but one class.
    """

    def work(where: slice, z: NDArray[np.float32]) -> NDArray[np.float32]:
        if problem.weights is not None:
            z = z * np.sqrt(problem.cross_entropy.shares(where))[:, None]
        return z.T @ z

    total = over_blocks(problem.rows, work, problem.threads)
    assert total is not None
    count = problem.samples
    variance = 1.0 - float(np.vdot(probabilities, probabilities)) / count
    share = variance / max(problem.classes - 1, 1) / (count if problem.weights is None else 1.0)
    matrix = share * total.astype(np.float64)
    matrix[np.diag_indices(len(matrix))] += max(problem.l2, LEAST_SHARE * float(np.trace(matrix)))
    return np.linalg.inv(matrix).astype(np.float32)
