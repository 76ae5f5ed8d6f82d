"""Scores and activations as colours, in those of the TensorFlow Playground: orange and blue, white between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.charts import FIRST, SECOND

WHITE = np.array([255.0, 255.0, 255.0])

CLASS_COLOURS = (SECOND, FIRST, "#2f9e6e", "#a4489a", "#c9a800", "#4fb3d9", "#c23b4b", "#6b5bb5")
"""Of the first classes; further ones begin anew."""


def class_colour(label: int) -> str:
    """`#rrggbb` of a class."""
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]


def score_colours(scores: NDArray[Any]) -> NDArray[np.uint8]:
    """The colour of the likeliest class, as pale as the second is near.

    White where two classes are level. For two classes the share of colour is |p_1 - p_0|, the size of the
    Playground's output.

    Args:
        scores: (..., classes), which sum to 1.

    Returns:
        uint8 (..., 3).
    """
    scores = np.asarray(scores, np.float64)
    palette = np.array([_rgb(class_colour(label)) for label in range(scores.shape[-1])])
    second, first = np.moveaxis(np.partition(scores, -2, axis=-1)[..., -2:], -1, 0)
    return _mixed(palette[scores.argmax(axis=-1)], first - second)


def activation_colours(values: NDArray[Any], largest: float) -> NDArray[np.uint8]:
    """Orange for negative, blue for positive, white for 0: (...) -> uint8 (..., 3).

    Args:
        values: of a neuron.
        largest: the size that has the full colour, above 0.
    """
    shares = np.clip(np.asarray(values, np.float64) / largest, -1, 1)
    colours = np.where((shares < 0)[..., None], _rgb(SECOND), _rgb(FIRST))
    return _mixed(colours, np.abs(shares))


def _mixed(colours: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(WHITE + shares[..., None] * (colours - WHITE)).astype(np.uint8)


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.frombuffer(bytes.fromhex(colour[1:]), np.uint8).astype(np.float64)
