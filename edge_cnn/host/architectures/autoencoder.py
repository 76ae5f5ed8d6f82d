"""The autoencoder of MLPerf Tiny (Banbury et al. 2021) for anomaly detection: what it rebuilds badly is an anomaly.

269,992 parameters, moving averages of batch normalization included, for 640 inputs: the count of Keras for the
reference, mlcommons/tiny `benchmark/training/anomaly_detection/keras_model.py`.
"""

from __future__ import annotations

import math
from typing import Any

from edge_cnn.host.architectures.architecture import (
    BATCH_NORM_MOMENTUM,
    BOTTLENECK,
    OUTPUT,
    RECONSTRUCTION,
    Architecture,
)
from edge_cnn.host.tensorflow_import import import_tensorflow

HIDDEN = (128, 128, 128, 128)
"""Widths on each side of the bottleneck."""

BOTTLENECK_WIDTH = 8


def build(image_shape: tuple[int, int, int], classes: int = 0) -> Any:
    """Fully-connected layers, each with batch norm and ReLU, that narrow to 8 numbers and widen again; no classes."""
    del classes
    _, keras = import_tensorflow()
    layers = keras.layers

    def activate(tensor: Any, width: int, name: str, output: str) -> Any:
        tensor = layers.Dense(width, name=name)(tensor)
        tensor = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(tensor)
        return layers.ReLU(name=output)(tensor)

    inputs = keras.Input(image_shape, name="image")
    features = layers.Flatten(name="flatten")(inputs)
    for place, width in enumerate(HIDDEN, start=1):
        features = activate(features, width, f"encoder{place}", f"encoder{place}_relu")
    features = activate(features, BOTTLENECK_WIDTH, f"encoder{len(HIDDEN) + 1}", BOTTLENECK)
    for place, width in enumerate(reversed(HIDDEN), start=1):
        features = activate(features, width, f"decoder{place}", f"decoder{place}_relu")
    return keras.Model(inputs, layers.Dense(math.prod(image_shape), name=OUTPUT)(features), name="autoencoder")


AUTOENCODER = Architecture(
    "autoencoder", "the anomaly detector of MLPerf Tiny, which learns to rebuild its input", 1, build, RECONSTRUCTION
)
