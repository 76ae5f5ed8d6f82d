"""What the weights are before the first update.

Back-propagation moves a weight by what its unit got and what its unit was blamed for. Units of a layer that start with
the same weights get and are blamed for the same, so that they move alike for ever: a layer of them is as good as one
unit (Rumelhart, Hinton and Williams 1986 call it the problem of breaking symmetry). Random weights break it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.units import is_depthwise, leaf_layers, unit_rows

RANDOM, IDENTICAL, ZEROS = "random", "identical", "zeros"

NORMALIZATION = ("gamma", "beta")
"""Scale and shift of batch normalization, which are alike from the start."""

Fill = Callable[[NDArray[Any], int], NDArray[Any]]
"""Random weights, how many inputs each unit has -> the weights to start from, of the same shape."""


def _random(weights: NDArray[Any], inputs: int) -> NDArray[Any]:
    """As the architecture draws them."""
    del inputs
    return weights


def _identical(weights: NDArray[Any], inputs: int) -> NDArray[Any]:
    """One number for all: their root mean square over the root of a unit's inputs.

    n inputs that are alike then move a unit as far as with n random weights, so that what is lost is lost to the
    symmetry and not to saturated units.
    """
    return np.full_like(weights, math.sqrt(float(np.mean(np.square(weights, dtype=np.float64))) / inputs))


def _zeros(weights: NDArray[Any], inputs: int) -> NDArray[Any]:
    """Nothing passes forwards, hence nothing backwards: only the biases of the last layer learn."""
    del inputs
    return np.zeros_like(weights)


INITIALIZATIONS: dict[str, Fill] = {RANDOM: _random, IDENTICAL: _identical, ZEROS: _zeros}


def find_initialization(name: str) -> Fill:
    """Raises: InputError: unknown name."""
    if name not in INITIALIZATIONS:
        raise InputError(f"unknown initialization {name!r}; known: {', '.join(INITIALIZATIONS)}")
    return INITIALIZATIONS[name]


def initialize(model: Any, name: str) -> None:
    """Change the weights that a gradient moves, but for `NORMALIZATION`.

    Args:
        model: `keras.Model` with random weights.
        name: a row of `INITIALIZATIONS`.

    Raises:
        InputError: unknown name.
    """
    fill = find_initialization(name)
    for layer in leaf_layers(model):
        for variable in layer.trainable_variables:
            if variable.name not in NORMALIZATION:
                weights = np.array(variable)
                inputs = len(unit_rows(weights, depthwise=is_depthwise(layer))[0]) if weights.ndim > 1 else 1
                variable.assign(fill(weights, inputs))
