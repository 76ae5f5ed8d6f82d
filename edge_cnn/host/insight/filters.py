"""The filters of a network's first layer, as images and by what they answer to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.insight.gratings import KINDS, filter_kinds
from edge_cnn.host.tensorflow_import import import_tensorflow

LEAST_SIDE = 3
"""Pixels; what is smaller is no picture."""


@dataclass(frozen=True)
class Filters:
    """What the first layer multiplies its input with.

    Attributes:
        layer: its name.
        kernels: float32 (count, height, width, channels): small windows of a convolution, or one weight for each pixel
            of the image in a fully-connected layer.
        kinds: what each answers to most, a row of `KINDS`; empty for a fully-connected layer, which sees whole images.
        numbers: which filter of the layer each is.
    """

    layer: str
    kernels: NDArray[np.float32]
    kinds: tuple[str, ...]
    numbers: tuple[int, ...]


def first_layer_filters(model: Any, count: int) -> Filters | None:
    """The first layer's filters: those of a kind together, and of more than `count` the longest.

    The first layer is the first that has a kernel. Where it is neither a convolution nor fully connected to the whole
    image, or the pictures would be smaller than 3x3, there is nothing to see: None.

    Args:
        model: `keras.Model`, float32 (n, height, width, channels) -> scores.
        count: of filters, at most.
    """
    _, keras = import_tensorflow()
    layer = _first_with_kernel(model)
    if layer is None:
        return None
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = np.asarray(layer.kernel)  # (height, width, channels, multiplier), each sees one channel
        kernels = kernel.reshape(*kernel.shape[:2], 1, -1).transpose(3, 0, 1, 2)
    elif isinstance(layer, keras.layers.Conv2D):
        kernels = np.asarray(layer.kernel).transpose(3, 0, 1, 2)
    elif isinstance(layer, keras.layers.Dense) and np.prod(model.input_shape[1:]) == layer.kernel.shape[0]:
        kernels = np.asarray(layer.kernel).T.reshape(-1, *model.input_shape[1:])
    else:
        return None
    if min(kernels.shape[1:3]) < LEAST_SIDE:
        return None
    convolves = not isinstance(layer, keras.layers.Dense)
    kinds = filter_kinds(kernels) if convolves else [""] * len(kernels)
    lengths = np.sqrt(np.sum(kernels**2.0, axis=(1, 2, 3)))
    longest = np.argsort(-lengths, kind="stable")[:count].tolist()
    order = sorted(longest, key=lambda i: (KINDS.index(kinds[i]), i)) if convolves else longest
    return Filters(layer.name, kernels[order], tuple(kinds[i] for i in order) if convolves else (), tuple(order))


def _first_with_kernel(model: Any) -> Any:
    for layer in model.layers:
        found = _first_with_kernel(layer) if hasattr(layer, "layers") else layer
        if found is not None and getattr(found, "kernel", None) is not None:
            return found
    return None


def signed_pixels(kernels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Kernels as pictures: uint8 (count, height, width, 3); each filter's largest weight has the full colour.

    Over three channels a weight is a colour around gray. Over any other number the mean over the channels is shown,
    orange below 0, white at 0, blue above.

    Args:
        kernels: (count, height, width, channels).
    """
    if kernels.shape[3] != 3:
        kernels = kernels.mean(axis=3, keepdims=True)
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    share = kernels / np.maximum(largest, 1e-30)
    if kernels.shape[3] == 3:
        return np.rint(127.5 + 127.5 * share).astype(np.uint8)
    full = np.where(share > 0, np.array(_POSITIVE), np.array(_NEGATIVE))
    return np.rint(255 + np.abs(share) * (full - 255)).astype(np.uint8)


_POSITIVE, _NEGATIVE = (37, 99, 168), (217, 119, 6)
"""The house's blue and orange."""
