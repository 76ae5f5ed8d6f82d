"""From samples to what a network takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing, input_range, normalize

_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


_NARROW = 32
"""Pixels that never reach more are levels or masks rather than photos."""


def narrow_top(samples: LabelledImages) -> int | None:
    """The largest pixel of uint8 images that use a small part of 0..255 only; None for others."""
    if not samples.is_pixels or not samples.images.size:
        return None
    top = int(samples.images.max())
    return top if 0 < top <= _NARROW else None


def default_preprocessing(samples: LabelledImages) -> Preprocessing:
    """Pixels 0..255 -> 0..1; for model inputs in floats, the first usual range that holds them all, else 0..255.

    Of pixels that use a small part of 0..255 only, this part -> 0..1.
    """
    height, width, channels = samples.images.shape[1:]
    top = narrow_top(samples)
    if top is not None:
        return Preprocessing(height, width, channels, (0.0,), (float(top),))
    low, high = (0.0, 1.0) if samples.is_pixels else (float(samples.images.min()), float(samples.images.max()))
    ends = next((ends for ends in _RANGES if ends[0] <= low and high <= ends[1]), _RANGES[-1])
    return input_range(*ends, (height, width, channels))


def model_inputs(images: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """uint8 pixels normalized, or float inputs as they are: float32 (n, height, width, channels).

    Raises:
        DataError: another shape than the model's, NaN or infinity.
    """
    if images.shape[1:] != preprocessing.image_shape:
        raise DataError(
            f"the data has images of shape {images.shape[1:]}, the model takes {preprocessing.image_shape}; "
            "resize them or give the data that the model was trained on"
        )
    if images.dtype == np.uint8:
        return normalize(images, preprocessing)
    bad = np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(axis=1))
    if len(bad):
        raise DataError(f"{len(bad)} samples hold NaN or infinity, the first is number {bad[0]}; clean the data")
    return np.asarray(images, np.float32)


def balanced_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Weight of each class so that all weigh the same together, 1 on average over the samples: float32 (classes,)."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).astype(np.float32)
