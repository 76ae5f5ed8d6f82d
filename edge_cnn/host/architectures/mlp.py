"""A multi-layer perceptron: two hidden layers of tanh, as the TensorFlow Playground draws them, but wider."""

from __future__ import annotations

from typing import Any

from edge_cnn.host.architectures.architecture import LOGITS, SCORES, Architecture
from edge_cnn.host.tensorflow_import import import_tensorflow

HIDDEN = ("hidden1", "hidden2")
"""Names of the hidden layers."""

WIDTH = 32
"""Neurons of each hidden layer."""


def build(image_shape: tuple[int, int, int], classes: int) -> Any:
    """Flattens any input; weights after Glorot and Bengio 2010, whose variance suits tanh."""
    _, keras = import_tensorflow()
    layers = keras.layers
    inputs = keras.Input(image_shape, name="image")
    features = layers.Flatten(name="flatten")(inputs)
    for name in HIDDEN:
        features = layers.Dense(WIDTH, activation="tanh", kernel_initializer="glorot_uniform", name=name)(features)
    logits = layers.Dense(classes, kernel_initializer="glorot_uniform", name=LOGITS)(features)
    return keras.Model(inputs, layers.Softmax(name=SCORES)(logits), name="mlp")


MLP = Architecture("mlp", "two hidden layers of 32 tanh neurons, for points and other small inputs", 1, build)
