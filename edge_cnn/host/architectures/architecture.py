"""What an architecture is: a name, and a function that builds an untrained network for any input and class count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SCORES = "scores"
"""Name of the softmax at the end: float32 (n, classes)."""

LOGITS = "logits"
"""Name of the fully-connected layer before it, the one that fine-tuning replaces."""

CLASSIFICATION, RECONSTRUCTION = "classification", "reconstruction"
"""What an architecture is for: scores over classes, or giving its own input back."""

OUTPUT = "reconstruction"
"""Name of the last layer of an architecture for reconstruction: float32 (n, height * width * channels), no activation.
It has neither `LOGITS` nor `SCORES`."""

BOTTLENECK = "bottleneck"
"""Name of its narrowest activation: float32 (n, width), what is kept of an input."""

BATCH_NORM_MOMENTUM = 0.9
"""Keras' 0.99 needs hundreds of steps before validation sees the network that training sees."""


@dataclass(frozen=True)
class Architecture:
    """A row of the table of architectures.

    Attributes:
        name: what the user types.
        summary: one line.
        min_side: smallest height and width, in pixels, that its pooling leaves anything of.
        build: (height, width, channels), class count -> untrained `keras.Model` that ends with `LOGITS` and `SCORES`;
            of one for reconstruction with `OUTPUT`, whatever the class count.
        task: `CLASSIFICATION` or `RECONSTRUCTION`.
    """

    name: str
    summary: str
    min_side: int
    build: Callable[[tuple[int, int, int], int], Any]
    task: str = CLASSIFICATION
