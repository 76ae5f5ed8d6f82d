"""What an architecture is: a name, and a function that builds an untrained network for any input and class count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SCORES = "scores"
"""Name of the softmax at the end: float32 (n, classes)."""

LOGITS = "logits"
"""Name of the fully-connected layer before it, the one that fine-tuning replaces."""

BATCH_NORM_MOMENTUM = 0.9
"""Keras' 0.99 needs hundreds of steps before validation sees the network that training sees."""


@dataclass(frozen=True)
class Architecture:
    """A row of the table of architectures.

    Attributes:
        name: what the user types.
        summary: one line.
        min_side: smallest height and width, in pixels, that its pooling leaves anything of.
        build: (height, width, channels), class count -> untrained `keras.Model` that ends with `LOGITS` and `SCORES`.
    """

    name: str
    summary: str
    min_side: int
    build: Callable[[tuple[int, int, int], int], Any]
