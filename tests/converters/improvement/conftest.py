"""A network of many kinds of joints between its layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph
from converters.sources.source_model import SourceModel


def float_graph_of(model: Any) -> FloatGraph:
    """The float file of a Keras model, its biases filled at random: fresh ones are zero, which hides mistakes."""
    import tensorflow as tf

    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(0, 0.1, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    shape, classes = model.input_shape[1:], model.output_shape[1:]
    function = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec((None, *shape))])
    return SourceModel("net", function, shape, classes).float_graph


@pytest.fixture(scope="session")
def jointed() -> FloatGraph:
    """Layers with ReLU, LeakyReLU, ReLU6, pooling, padding, a branch, a concatenation and a flattening between them."""
    with silent_step("making a model"):
        import keras

        keras.utils.set_random_seed(1)
        k = keras.layers
        image = keras.Input((12, 10, 3))
        x = k.Conv2D(8, 3, activation="relu", name="plain")(image)
        x = k.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="multiplied")(x)
        x = k.LeakyReLU(negative_slope=0.1)(x)
        x = k.AveragePooling2D(2)(x)
        x = k.ZeroPadding2D(2)(x)
        x = k.Conv2D(6, 3, name="six")(x)
        x = k.ReLU(6.0)(x)
        x = k.Conv2D(8, 1, activation="relu", name="branching")(x)
        a = k.MaxPooling2D(2)(k.Conv2D(8, 1, name="left")(x))
        b = k.MaxPooling2D(2)(k.Activation("sigmoid")(k.Conv2D(8, 1, name="right")(x)))
        x = k.Concatenate()([a, k.Conv2D(4, 1, activation="relu", name="after")(b)])
        x = k.Conv2D(5, 1, activation="relu", name="flattened")(x)
        x = k.Dense(7, activation="relu", name="dense")(k.Flatten()(x))
        return float_graph_of(keras.Model(image, k.Dense(4, activation="softmax", name="last")(x)))


@pytest.fixture(scope="session")
def noise() -> Any:
    """Images for `jointed`, float32 (40, 12, 10, 3)."""
    return np.random.default_rng(0).uniform(0, 1, (40, 12, 10, 3)).astype(np.float32)
