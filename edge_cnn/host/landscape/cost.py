"""How fine a picture of the loss surface is worth its time, decided by counting, so that it is the same anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

BUDGET = 280e9
"""Multiplications with additions for the whole picture: under ten seconds on a core of a PC."""

RUNGS = ((500, 21), (250, 21), (128, 21), (128, 17), (128, 13), (64, 13), (64, 11), (32, 9))
"""Samples and points along each direction, the best picture first; the last whatever it costs."""


@dataclass(frozen=True)
class Effort:
    """How much of a loss surface to measure: samples, and points along each direction."""

    samples: int
    points: int


def affordable_effort(model: Any, samples: int, budget: float = BUDGET) -> Effort:
    """The best picture of the loss surface of `model` within the budget, where `samples` are at hand."""
    each = multiplications(model)
    efforts = [Effort(min(count, samples), points) for count, points in RUNGS]
    return next((e for e in efforts if each * e.samples * e.points**2 <= budget), efforts[-1])


def multiplications(model: Any) -> int:
    """Of weights with activations, in the convolutions and fully-connected layers of `model`, for one sample."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += multiplications(layer)
            continue
        kernels = [weight for weight in layer.trainable_weights + layer.non_trainable_weights if len(weight.shape) > 1]
        if kernels:
            # Each kernel is applied at every place of the output: a pixel for a convolution, one for a dense layer.
            places = math.prod(size or 1 for size in layer.output.shape[1:-1])
            total += places * sum(math.prod(kernel.shape) for kernel in kernels)
    return total
