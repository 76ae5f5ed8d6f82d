"""MobileNet (Howard et al. 2017) of width 0.25, as MLPerf Tiny has it for visual wake words (Banbury et al. 2021).

221,794 parameters, moving averages of batch normalization included, for 96x96x3 and 2 classes: the count of Keras for
the reference, mlcommons/tiny `benchmark/training/visual_wake_words/vww_model.py`. As there, convolutions keep their
bias beside batch normalization, and activations are ReLU, not ReLU6.
"""

from __future__ import annotations

from typing import Any

from edge_cnn.host.architectures.architecture import BATCH_NORM_MOMENTUM, LOGITS, SCORES, Architecture
from edge_cnn.host.tensorflow_import import import_tensorflow

FIRST_FILTERS = 8
"""32 of the full network, times 0.25."""

BLOCKS = (
    *((1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 128)),
    *((1, 128), (1, 128), (1, 128), (1, 128), (1, 128), (2, 256), (1, 256)),
)
"""Stride of the depthwise convolution of each block, filters of its pointwise one."""

MIN_SIDE = 32
"""What five strides of 2 bring down to one place."""


def build(image_shape: tuple[int, int, int], classes: int) -> Any:
    """One convolution, 13 blocks of depthwise and pointwise convolution, the mean over all places, fully-connected."""
    _, keras = import_tensorflow()
    layers = keras.layers

    def activate(tensor: Any, name: str) -> Any:
        return layers.ReLU(name=f"relu{name}")(
            layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"norm{name}")(tensor)
        )

    inputs = keras.Input(image_shape, name="image")
    features = layers.Conv2D(FIRST_FILTERS, 3, strides=2, padding="same", kernel_initializer="he_normal", name="conv0")(
        inputs
    )
    features = activate(features, "0")
    for block, (stride, filters) in enumerate(BLOCKS, start=1):
        features = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", depthwise_initializer="he_normal", name=f"depthwise{block}"
        )(features)
        features = activate(features, f"{block}a")
        features = layers.Conv2D(filters, 1, padding="same", kernel_initializer="he_normal", name=f"conv{block}")(
            features
        )
        features = activate(features, f"{block}b")
    embedding = layers.GlobalAveragePooling2D(name="embedding")(features)
    logits = layers.Dense(classes, name=LOGITS)(embedding)
    return keras.Model(inputs, layers.Softmax(name=SCORES)(logits), name="mobilenet_v1_025")


MOBILENET_V1_025 = Architecture(
    "mobilenet_v1_025", "the MobileNet of MLPerf Tiny, for colour images from 32x32", MIN_SIDE, build
)
