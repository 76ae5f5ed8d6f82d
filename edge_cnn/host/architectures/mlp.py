"""A multi-layer perceptron: two hidden layers of tanh, as the TensorFlow Playground draws them, but wider."""

from __future__ import annotations

import math
from typing import Any

from edge_cnn.host.architectures.architecture import LOGITS, SCORES, Architecture
from edge_cnn.host.tensorflow_import import import_tensorflow

HIDDEN = ("hidden1", "hidden2")
"""Names of the hidden layers."""

WIDTH = 32
"""Neurons of each hidden layer."""


def build(image_shape: tuple[int, int, int], classes: int) -> Any:
    """Flattens any input; weights after Glorot and Bengio 2010, but for those of the first layer at few inputs.

    There they follow Nguyen and Widrow 1990, for inputs in [-1, 1]: with n inputs and h neurons, a neuron's weights
    have the length 0.7 h^(1/n) and its bias is uniform up to that, so that each neuron bends in another piece of the
    input and all pieces together cover it. Glorot's leave every tanh nearly straight over two inputs, and on two
    spirals most of the training goes by before one bends.
    """
    _, keras = import_tensorflow()
    layers, initializers = keras.layers, keras.initializers

    inputs = keras.Input(image_shape, name="image")
    count = math.prod(image_shape)
    length = 0.7 * WIDTH ** (1 / count)
    spread = max(length * math.sqrt(3 / count), math.sqrt(6 / (count + WIDTH)))
    features = layers.Dense(
        WIDTH,
        activation="tanh",
        kernel_initializer=initializers.RandomUniform(-spread, spread),
        bias_initializer=initializers.RandomUniform(-length, length),
        name=HIDDEN[0],
    )(layers.Flatten(name="flatten")(inputs))
    features = layers.Dense(WIDTH, activation="tanh", name=HIDDEN[1])(features)
    logits = layers.Dense(classes, name=LOGITS)(features)
    return keras.Model(inputs, layers.Softmax(name=SCORES)(logits), name="mlp")


MLP = Architecture("mlp", "two hidden layers of 32 tanh neurons, for points and other small inputs", 1, build)
