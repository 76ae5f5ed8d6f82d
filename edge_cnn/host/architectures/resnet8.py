"""ResNet-8 as MLPerf Tiny has it for image classification (Banbury et al. 2021; He et al. 2016).

78,666 parameters, moving averages of batch normalization included, for 32x32x3 and 10 classes.
"""

from __future__ import annotations

from typing import Any

from edge_cnn.host.architectures.architecture import BATCH_NORM_MOMENTUM, LOGITS, SCORES, Architecture
from edge_cnn.host.tensorflow_import import import_tensorflow

FILTERS = (16, 32, 64)


def build(image_shape: tuple[int, int, int], classes: int) -> Any:
    """One convolution, three residual stacks, the mean over all places, one fully-connected layer."""
    _, keras = import_tensorflow()
    layers = keras.layers

    def convolve(tensor: Any, filters: int, size: int, stride: int, name: str) -> Any:
        return layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="same",
            kernel_initializer="he_normal",
            name=name,
        )(tensor)

    def normalize(tensor: Any, name: str) -> Any:
        return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=name)(tensor)

    inputs = keras.Input(image_shape, name="image")
    features = convolve(inputs, FILTERS[0], 3, 1, "conv0")
    features = layers.ReLU(name="relu0")(normalize(features, "norm0"))
    for stack, filters in enumerate(FILTERS, start=1):
        stride = 1 if stack == 1 else 2
        branch = convolve(features, filters, 3, stride, f"conv{stack}a")
        branch = layers.ReLU(name=f"relu{stack}a")(normalize(branch, f"norm{stack}a"))
        branch = normalize(convolve(branch, filters, 3, 1, f"conv{stack}b"), f"norm{stack}b")
        if stride > 1:
            features = convolve(features, filters, 1, stride, f"shortcut{stack}")
        features = layers.ReLU(name=f"relu{stack}b")(layers.Add(name=f"add{stack}")([features, branch]))
    embedding = layers.GlobalAveragePooling2D(name="embedding")(features)
    logits = layers.Dense(classes, kernel_initializer="he_normal", name=LOGITS)(embedding)
    return keras.Model(inputs, layers.Softmax(name=SCORES)(logits), name="resnet8")


RESNET8 = Architecture("resnet8", "the residual network of MLPerf Tiny, for small colour images", 8, build)
