"""The curvature of the loss, from which steps come that need no tuning.

Böhning 1992: the Hessian of softmax regression is at most (I - 11^T/C)/2 kron Z^T W Z / n, for weights W and features
Z. So its largest eigenvalue is at most half of that of the weighted feature covariance, and 1/L is a stable step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.device.training.embedding_rows import over_blocks
from edge_cnn.device.training.problem import HeadProblem

LANCZOS_STEPS = 10

MARGIN = 1.05
"""The largest eigenvalue is approached from below."""


def smoothness(problem: HeadProblem) -> float:
    """Lipschitz constant L of the gradient: half the largest eigenvalue of the covariance of [z, 1], plus l2."""
    return 0.5 * MARGIN * _largest_eigenvalue(problem) + problem.l2


def _largest_eigenvalue(problem: HeadProblem) -> float:
    """Of Z^T W Z / n, by Lanczos' method (Golub and Van Loan 2013, section 10.1) with full orthogonalization."""

    def image(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        narrow = vector.astype(np.float32)

        def work(where: slice, z: NDArray[np.float32]) -> NDArray[np.float64]:
            return ((z @ narrow) * problem.cross_entropy.shares(where) @ z).astype(np.float64)

        total = over_blocks(problem.rows, work, problem.threads)
        assert total is not None
        return total

    width = problem.rows.width
    # Any start will do that is not orthogonal to the answer; ones would be, for features that mirror each other.
    first = np.random.default_rng(0).normal(size=width)
    basis = [first / np.linalg.norm(first)]
    steps = min(LANCZOS_STEPS, width)
    diagonal, below = np.zeros(steps), np.zeros(steps)
    for step in range(steps):
        vector = image(basis[step])
        diagonal[step] = vector @ basis[step]
        for known in basis:
            vector -= (vector @ known) * known
        below[step] = np.linalg.norm(vector)
        if below[step] <= 1e-6 * max(abs(diagonal[: step + 1]).max(), 1e-30):
            steps = step + 1
            break
        basis.append(vector / below[step])
    matrix = np.diag(diagonal[:steps]) + np.diag(below[: steps - 1], 1) + np.diag(below[: steps - 1], -1)
    return float(np.linalg.eigvalsh(matrix)[-1])


def check_progress(step: int, loss: float, first_loss: float, rate: float, largest_stable: float) -> None:
    """Raises: InputError: the loss has exploded, with what the step should have been.

    A loss bounded by nothing but the step is left alone as long as the step is a stable one: mini-batches are noisy.
    """
    if np.isfinite(loss) and (rate <= largest_stable or loss <= 10.0 * max(first_loss, 1.0)):
        return
    times = rate / largest_stable
    cause = (
        f"the step is {times:.2g} times the largest stable one"
        if times > 1
        else "the step is a stable one, so the embeddings or the labels hold what is no number"
    )
    raise InputError(
        f"fine-tuning diverged at step {step}: {cause} (learning rate {rate:.3g}, stable up to {largest_stable:.3g}); "
        "leave the learning rate to the default"
    )
