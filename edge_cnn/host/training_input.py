"""The stream of batches that training reads; a pure function of the samples and a random generator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing, input_range, normalize
from edge_cnn.host.augmentation import Augmentation, augment
from edge_cnn.host.tensorflow_import import import_tensorflow

BATCHES_AHEAD = 4
_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


def default_preprocessing(samples: LabelledImages) -> Preprocessing:
    """Pixels 0..255 -> 0..1; for model inputs in floats, the first usual range that holds them all, else 0..255."""
    height, width, channels = samples.images.shape[1:]
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


def training_batches(
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    class_weights: NDArray[np.float32] | None,
    augmentation: Augmentation | None,
    *,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
) -> tuple[Any, int]:
    """All batches of all epochs, in order.

    Args:
        inputs: float32 (n, height, width, channels).
        labels: int64 (n,).
        class_weights: float32 (classes,), or None for equal weights.
        augmentation: None leaves the images as they are.
        epochs: how many times every sample is seen; what does not fill a batch sits one epoch out.
        batch_size: n at most.
        rng: source of the order and of the augmentation.

    Returns:
        a `tf.data.Dataset` of (inputs, labels, sample weights), and the number of batches an epoch.
    """
    tf, _ = import_tensorflow()
    steps = len(labels) // batch_size
    order = np.concatenate(
        [rng.permutation(len(labels))[: steps * batch_size].reshape(steps, batch_size) for _ in range(epochs)]
    )
    seeds = rng.integers(0, 2**31 - 1, (len(order), 2), dtype=np.int32)
    all_inputs, all_labels = tf.constant(inputs), tf.constant(labels)
    weights = tf.constant(np.ones(int(labels.max()) + 1, np.float32) if class_weights is None else class_weights)

    def batch(indices: Any, seed: Any) -> tuple[Any, Any, Any]:
        chosen, answers = tf.gather(all_inputs, indices), tf.gather(all_labels, indices)
        if augmentation is not None:
            chosen = augment(chosen, seed, augmentation)
        return chosen, answers, tf.gather(weights, answers)

    # There is no Python control flow in it that would have to become part of the graph.
    traced = tf.autograph.experimental.do_not_convert(batch)
    return tf.data.Dataset.from_tensor_slices((order, seeds)).map(traced).prefetch(BATCHES_AHEAD), steps
