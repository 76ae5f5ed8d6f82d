"""How much a sample of each class weighs in the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.inputs import balanced_weights

BALANCED = "balanced"

ClassWeights = str | Mapping[str, float] | None
"""`BALANCED`, weights by class name, or None: every sample the same."""

_NAMED = 10
"""So many known classes are listed in an error."""


def parse_class_weights(text: str) -> str | dict[str, float]:
    """`balanced`, or 'cat=2,dog=0.5' -> {"cat": 2.0, "dog": 0.5}; the last '=' of a pair divides it.

    Raises:
        InputError: neither of them, or a class that is named twice.
    """
    if text == BALANCED:
        return BALANCED
    weights: dict[str, float] = {}
    for pair in text.split(","):
        name, divided, number = pair.rpartition("=")
        name = name.strip()
        try:
            weight = float(number)
        except ValueError:
            divided = ""
            weight = 0.0
        if not divided or not name:
            raise InputError(f"class weights {text!r}: {pair!r} is no NAME=WEIGHT; give {BALANCED}, or 'cat=2,dog=0.5'")
        if name in weights:
            raise InputError(f"class weights {text!r}: {name!r} is there twice; give it once")
        weights[name] = weight
    check_class_weights(weights)
    return weights


def check_class_weights(weights: ClassWeights) -> None:
    """Raises: InputError: an unknown word, no weight at all, or one that is not positive and finite."""
    if isinstance(weights, str) and weights != BALANCED:
        raise InputError(f"unknown class weights {weights!r}; known: {BALANCED}, or a weight by class name")
    if not isinstance(weights, Mapping):
        return
    if not weights:
        raise InputError("class weights name no class; give one at least, or none at all")
    for name, weight in weights.items():
        if not 0 < weight < math.inf:
            raise InputError(
                f"class weight {weight:g} of {name!r}: it must be positive and finite; "
                "to leave a class out, drop its samples"
            )


def weights_of_classes(
    weights: ClassWeights, class_names: Sequence[str], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What each class's samples weigh: float32 (classes,); a class without a given weight has 1.

    Args:
        weights: as asked for.
        class_names: one a class.
        labels: of the samples that updates see, int64 (n,); for `BALANCED`.

    Raises:
        InputError: a name that is no class, or that of several.
    """
    if weights is None:
        return np.ones(len(class_names), np.float32)
    if not isinstance(weights, Mapping):
        return balanced_weights(labels, len(class_names))
    names = list(class_names)
    for name in weights:
        if names.count(name) > 1:
            raise InputError(
                f"class weights: {names.count(name)} classes are called {name!r}; give them different names"
            )
        if name not in names:
            known = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
            raise InputError(f"class weights: no class is called {name!r}; the classes are {known}")
    return np.array([weights.get(name, 1.0) for name in names], np.float32)
