"""Random directions through the space of the weights, as long in each filter as the filter itself (Li et al. 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.tensorflow_import import import_tensorflow


def filter_normalized_direction(model: Any, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """A random direction from the weights that `model` has, in the order of its `get_weights()`.

    Every filter of a convolution, and every neuron of a fully-connected layer, gets Gaussian numbers scaled to the
    norm of its own weights: d / |d| * |w| (Li et al. 2018, Visualizing the Loss Landscape of Neural Nets, section 4).
    A step of 1 is then as large a change in every network, whatever the scale of its weights. Biases, the parameters
    and statistics of batch norm, and frozen weights stay where they are: their direction is zero.

    Args:
        model: `keras.Model`.
        rng: source of the direction.

    Returns:
        float32 arrays of the weights' shapes.
    """
    direction: list[NDArray[np.float32]] = []
    for value, axes in zip(model.get_weights(), filter_axes(model), strict=True):
        if axes is None:
            direction.append(np.zeros(value.shape, np.float32))
            continue
        random = rng.standard_normal(value.shape)
        lengths = [np.sqrt(np.sum(part**2.0, axis=axes, keepdims=True)) for part in (value, random)]
        direction.append((random * (lengths[0] / np.maximum(lengths[1], 1e-30))).astype(np.float32))
    return direction


def filter_axes(model: Any) -> list[tuple[int, ...] | None]:
    """For each array of `get_weights()` the axes within one filter; None for biases, normalization and frozen weights.

    Args:
        model: `keras.Model`.
    """
    moved = {id(variable) for variable in model.trainable_weights}
    depthwise = _depthwise_kernels(model)
    return [
        None
        if id(variable) not in moved or len(variable.shape) < 2
        # A filter of a depthwise convolution sees one channel: (height, width) for each (channel, multiplier).
        else ((0, 1) if id(variable) in depthwise else tuple(range(len(variable.shape) - 1)))
        for variable in model.weights
    ]


def _depthwise_kernels(model: Any) -> set[int]:
    _, keras = import_tensorflow()
    kinds = (keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
    found: set[int] = set()
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found |= _depthwise_kernels(layer)
        elif isinstance(layer, kinds):
            found.add(id(getattr(layer, "depthwise_kernel", None) if isinstance(layer, kinds[1]) else layer.kernel))
    return found
