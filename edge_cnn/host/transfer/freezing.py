"""Which layers a training leaves as they are."""

from __future__ import annotations

from typing import Any

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.units import leaf_layers

ALL_BUT_HEAD, NOTHING = "all-but-head", "none"

Freeze = str | int
"""`ALL_BUT_HEAD`, `NOTHING`, or how many layers with weights, from the input on."""


def parse_freeze(text: str) -> Freeze:
    """Raises: InputError: neither a word that is known nor a whole number from 0."""
    if text in (ALL_BUT_HEAD, NOTHING):
        return text
    if not text.isdecimal():
        raise InputError(f"freeze {text!r}: give {ALL_BUT_HEAD}, {NOTHING}, or the number of layers from the input on")
    return int(text)


def freeze_layers(model: Any, freeze: Freeze) -> tuple[str, ...]:
    """Freeze layers of `model` and thaw the others; names of the frozen ones.

    Weights of a frozen layer stay the same bit for bit, and batch normalization in it uses the statistics that it has.

    Args:
        model: `keras.Model` that ends with its head.
        freeze: which.

    Raises:
        InputError: so many layers that none is left to learn.
    """
    weighted = [layer for layer in leaf_layers(model) if layer.weights]
    count = len(weighted) - 1 if freeze == ALL_BUT_HEAD else 0 if freeze == NOTHING else int(freeze)
    if count >= len(weighted):
        raise InputError(
            f"freeze {count}: the network has {len(weighted)} layers with weights, and the last must learn; "
            f"give at most {len(weighted) - 1}"
        )
    for number, layer in enumerate(weighted):
        layer.trainable = number >= count
    return tuple(layer.name for layer in weighted[:count])
