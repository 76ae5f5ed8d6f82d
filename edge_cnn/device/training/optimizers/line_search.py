"""How far to go along a direction. Logits are linear in the parameters, so no step is a pass over the embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.training.cross_entropy import CrossEntropy

SLOPE_LEFT = 0.5
"""Share of the slope at 0 that a step may leave by default (Wolfe's strong curvature condition; on a convex function it
implies descent)."""

MAX_TRIALS = 20


@dataclass(frozen=True)
class LinearPart:
    """What of the loss along the line needs no exponential: a + slope * t + curvature/2 * t^2.

    Attributes:
        slope: of the L2 term and of the targets at 0.
        curvature: of the L2 term.
    """

    slope: float
    curvature: float


def line_search(
    entropy: CrossEntropy,
    logits: NDArray[np.float32],
    direction: NDArray[np.float32],
    linear: LinearPart,
    start_slope: float,
    first: float | None,
    out: NDArray[np.float32],
    slope_left: float = SLOPE_LEFT,
) -> tuple[float, float]:
    """A step along which the loss is nearly least, by Newton's method safeguarded by bisection.

    Args:
        entropy: the loss of logits.
        logits: (classes, n), where the step starts.
        direction: (classes, n), how they change for a step of 1.
        linear: the rest of the loss.
        start_slope: of the whole loss at 0, negative.
        first: step to try first; None takes Newton's.
        out: (classes, n), holds the probabilities at the step afterwards.
        slope_left: share of `start_slope` that the slope may still have at the step.

    Returns:
        The step, and the mean logsumexp there.
    """
    low, high = 0.0, np.inf
    step, normalizer = first or 0.0, 0.0
    for _ in range(MAX_TRIALS):
        normalizer = entropy.normalizer(logits, direction, step, out)
        slope, curvature = entropy.slope(direction, out)
        slope += linear.slope + step * linear.curvature
        if step > 0.0 and abs(slope) <= slope_left * abs(start_slope):
            break
        if slope > 0.0:
            high = step
        else:
            low = step
        newton = step - slope / (curvature + linear.curvature)
        step = newton if low < newton < high else (2.0 * step if high == np.inf else 0.5 * (low + high))
    return step, normalizer


def least_along(
    entropy: CrossEntropy, logits: NDArray[np.float32], direction: NDArray[np.float32], least_slope: float = 1e-3
) -> float:
    """The step in [0, inf) at which the cross-entropy alone is least; 0 where it rises at once."""
    out = np.empty_like(logits)
    targets = entropy.linear(direction)
    entropy.normalizer(logits, direction, 0.0, out)
    slope = entropy.slope(direction, out)[0] - targets
    if slope >= 0.0:
        return 0.0
    return line_search(entropy, logits, direction, LinearPart(-targets, 0.0), slope, None, out, least_slope)[0]
