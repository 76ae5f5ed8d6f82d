"""The units of a layer: what stands beside each other in it and has weights of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.tensorflow_import import import_tensorflow


def leaf_layers(model: Any) -> list[Any]:
    """The layers of a `keras.Model` and of the models within it, in their order."""
    return [leaf for layer in model.layers for leaf in (leaf_layers(layer) if hasattr(layer, "layers") else [layer])]


def is_depthwise(layer: Any) -> bool:
    """Whether each input channel has filters of its own."""
    _, keras = import_tensorflow()
    return isinstance(layer, keras.layers.DepthwiseConv2D)


def unit_rows(kernel: NDArray[Any], *, depthwise: bool = False) -> NDArray[Any]:
    """The kernel as one row a unit: (units, weights of a unit).

    Args:
        kernel: (..., units); of a depthwise convolution (height, width, channels, multiplier), where a unit is a filter
            of one channel.
        depthwise: whether it is one.
    """
    if depthwise:
        return kernel.reshape(-1, kernel.shape[2] * kernel.shape[3]).T
    return kernel.reshape(-1, kernel.shape[-1]).T


def layer_units(layer: Any) -> NDArray[Any] | None:
    """A layer's units with their biases last: float32 (units, weights); None for a layer without a kernel."""
    if not hasattr(layer, "kernel"):
        return None
    rows = unit_rows(np.array(layer.kernel), depthwise=is_depthwise(layer))
    if getattr(layer, "use_bias", False):
        rows = np.concatenate([rows, np.array(layer.bias)[:, None]], axis=1)
    return rows
