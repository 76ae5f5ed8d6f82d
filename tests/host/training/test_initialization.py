import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training import TrainConfig
from edge_cnn.host.training.initialization import initialize
from edge_cnn.host.training.units import layer_units, leaf_layers


def network():
    """Every kind of layer with weights that the architectures have, one of them in a network within."""
    import keras

    layers = keras.layers
    image = keras.Input((8, 8, 3))
    inner_image = keras.Input((8, 8, 4))
    inner = keras.Model(inner_image, layers.DepthwiseConv2D(3, name="depthwise", depth_multiplier=2)(inner_image))
    features = layers.Conv2D(4, 3, padding="same", name="conv")(image)
    features = layers.BatchNormalization(name="norm")(features)
    features = layers.GlobalAveragePooling2D()(inner(features))
    return keras.Model(image, layers.Dense(5, name="dense")(features))


def layer(model, name):
    return next(layer for layer in leaf_layers(model) if layer.name == name)


def test_units_are_the_filters_of_a_convolution_the_channels_of_a_depthwise_one_and_the_columns_of_a_matrix():
    model = network()
    for name, units, weights in (("conv", 4, 27), ("depthwise", 8, 9), ("dense", 5, 8)):
        assert layer_units(layer(model, name)).shape == (units, weights + 1)
    kernel = np.array(layer(model, "depthwise").kernel)
    assert np.array_equal(layer_units(layer(model, "depthwise"))[2 * 3 + 1, :-1], kernel[:, :, 3, 1].ravel())
    assert layer_units(layer(model, "norm")) is None


def test_identical_weights_are_one_number_a_layer_that_passes_on_as_much_as_random_ones():
    model = network()
    random = {leaf.name: layer_units(leaf) for leaf in leaf_layers(model)}
    initialize(model, "identical")
    for name in ("conv", "depthwise", "dense"):
        weights, inputs = layer_units(layer(model, name))[:, :-1], random[name].shape[1] - 1
        assert len(np.unique(weights)) == 1
        # A unit's sum over inputs of 1 is as large as the root mean square of random sums would be.
        expected = np.sqrt(np.mean(random[name][:, :-1] ** 2) * inputs)
        np.testing.assert_allclose(weights.sum(axis=1), expected, rtol=1e-5)
    assert np.all(np.array(layer(model, "norm").gamma) == 1)


def test_zeros_are_zeros_but_for_normalization():
    model = network()
    initialize(model, "zeros")
    assert all(not layer_units(layer(model, name)).any() for name in ("conv", "depthwise", "dense"))
    assert np.all(np.array(layer(model, "norm").gamma) == 1)


def test_an_unknown_one_is_refused():
    with pytest.raises(InputError, match="unknown initialization 'ones'; known: random, identical, zeros"):
        TrainConfig(initialization="ones")
