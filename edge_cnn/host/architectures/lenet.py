"""A small convolutional network in the tradition of LeNet-5 (LeCun et al. 1998), with today's batch normalization."""

from __future__ import annotations

from typing import Any

from edge_cnn.host.architectures.architecture import BATCH_NORM_MOMENTUM, LOGITS, SCORES, Architecture
from edge_cnn.host.tensorflow_import import import_tensorflow

BLOCKS = ((16, True), (32, True), (64, False), (64, True))
"""Filters of each block, and whether it ends with pooling."""

FEATURES = 96
"""Width of the embedding that fine-tuning works on."""

DROPOUT = 0.2


def build(image_shape: tuple[int, int, int], classes: int) -> Any:
    """Four blocks of convolution 3x3, batch norm and ReLU, three with max pooling; then two fully-connected layers."""
    _, keras = import_tensorflow()
    layers = keras.layers
    inputs = features = keras.Input(image_shape, name="image")
    for block, (filters, pooled) in enumerate(BLOCKS, start=1):
        # Batch norm has a bias of its own.
        features = layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"conv{block}"
        )(features)
        features = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"norm{block}")(features)
        features = layers.ReLU(name=f"relu{block}")(features)
        if pooled:
            features = layers.MaxPooling2D(2, name=f"pool{block}")(features)
    features = layers.Flatten(name="flatten")(features)
    features = layers.Dense(FEATURES, activation="relu", kernel_initializer="he_normal", name="embedding")(features)
    logits = layers.Dense(classes, name=LOGITS)(layers.Dropout(DROPOUT, name="dropout")(features))
    return keras.Model(inputs, layers.Softmax(name=SCORES)(logits), name="lenet")


LENET = Architecture("lenet", "four convolutions and two fully-connected layers, for small gray images", 8, build)
