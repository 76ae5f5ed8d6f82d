"""What the layers of a network make of an image, one map a filter, deeper and deeper (Zeiler and Fergus 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.tensorflow_import import import_tensorflow


@dataclass(frozen=True)
class FeatureMaps:
    """The most active maps behind one activation function.

    Attributes:
        layer: name of the layer that gives them.
        maps: float32 (n, height, width, shown): for each image the maps of the same filters, the most active first.
        channels: which filters they are.
        filters: how many the layer has.
    """

    layer: str
    maps: NDArray[np.float32]
    channels: tuple[int, ...]
    filters: int


def feature_maps(model: Any, inputs: NDArray[np.float32], *, layers: int, channels: int) -> tuple[FeatureMaps, ...]:
    """Run images through a network and keep what its activation functions give.

    Args:
        model: `keras.Model`, float32 (n, height, width, channels) -> scores.
        inputs: float32 (n, height, width, channels).
        layers: at most so many, from the first to the last, evenly spread.
        channels: filters a layer, at most: those with the highest mean over the images.

    Returns:
        from the input to the output; empty for a network without maps.
    """
    _, keras = import_tensorflow()
    found = [layer for layer in model.layers if _gives_maps(layer)]
    if not found:
        return ()
    spread = np.unique(np.rint(np.linspace(0, len(found) - 1, min(layers, len(found)))).astype(int))
    chosen = [found[i] for i in spread.tolist()]
    outputs = keras.Model(model.inputs, [layer.output for layer in chosen])([inputs], training=False)
    told: list[FeatureMaps] = []
    for layer, output in zip(chosen, outputs if isinstance(outputs, list | tuple) else [outputs], strict=True):
        maps = np.asarray(output)
        busiest = np.argsort(-maps.mean(axis=(0, 1, 2)), kind="stable")[:channels].tolist()
        told.append(FeatureMaps(layer.name, maps[..., busiest], tuple(busiest), maps.shape[3]))
    return tuple(told)


def _gives_maps(layer: Any) -> bool:
    """Whether it is an activation function, or has one, over more than one place."""
    _, keras = import_tensorflow()
    shape = getattr(getattr(layer, "output", None), "shape", ())
    if len(shape) != 4 or 1 in shape[1:3]:
        return False
    if isinstance(layer, keras.layers.ReLU | keras.layers.Activation | keras.layers.LeakyReLU):
        return True
    activation = getattr(layer, "activation", None)
    return activation is not None and activation is not keras.activations.linear


def mosaic(maps: NDArray[np.floating], peaks: NDArray[np.floating], side: int) -> NDArray[np.uint8]:
    """The maps of one image beside each other in a square, white for nothing and blue for the peak: uint8 (h, w, 3).

    Args:
        maps: (height, width, channels).
        peaks: (channels,), which value is the full blue.
        side: how many maps stand beside each other; below it as many rows as are needed.
    """
    height, width, channels = maps.shape
    # Large enough for a gap that is narrow beside a map.
    zoom = max(1, -(-_LEAST_PIXELS // max(height, width)))
    shares = np.clip(maps / np.maximum(peaks, 1e-30), 0, 1).repeat(zoom, axis=0).repeat(zoom, axis=1)
    rows = -(-channels // side)
    down, across = height * zoom + _GAP, width * zoom + _GAP
    canvas = np.full((rows * down - _GAP, side * across - _GAP, 3), 255, np.uint8)
    for i in range(channels):
        top, left = i // side * down, i % side * across
        tint = 255 + shares[..., i, None] * (np.array(_BLUE) - 255)
        canvas[top : top + height * zoom, left : left + width * zoom] = np.rint(tint)
    return canvas


_LEAST_PIXELS, _GAP = 28, 2
_BLUE = (18, 60, 112)
"""Darker than the house's, so that a map shows its shades."""
