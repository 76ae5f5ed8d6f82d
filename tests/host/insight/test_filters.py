"""The first layer's filters, from networks whose weights are set by hand."""

import keras
import numpy as np
import pytest

from edge_cnn.host.architectures import build_model
from edge_cnn.host.insight.filters import first_layer_filters, signed_pixels

HORIZONTAL = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32)


def convolution(kernels, shape=(8, 8, 1)):
    """A network whose first layer has these kernels (count, height, width, channels)."""
    image = keras.Input(shape)
    model = keras.Model(image, keras.layers.Conv2D(len(kernels), kernels.shape[1:3], use_bias=False, name="c")(image))
    model.set_weights([kernels.transpose(1, 2, 3, 0)])
    return model


def test_filters_of_a_kind_stand_together_and_the_longest_are_kept():
    kernels = np.stack([HORIZONTAL, 5 * HORIZONTAL.T, 0.5 * HORIZONTAL, 0.4 * HORIZONTAL.T])[..., None]
    filters = first_layer_filters(convolution(kernels), 3)
    assert filters is not None
    assert filters.layer == "c"
    assert filters.numbers == (0, 2, 1)
    assert filters.kinds == ("horizontal", "horizontal", "vertical")
    assert np.array_equal(filters.kernels, kernels[[0, 2, 1]])


def test_each_filter_of_a_depthwise_convolution_sees_one_channel():
    image = keras.Input((8, 8, 2))
    model = keras.Model(image, keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(image))
    kernel = np.zeros((3, 3, 2, 2), np.float32)
    kernel[:, :, 1, 0] = HORIZONTAL
    kernel[:, :, 0, 1] = HORIZONTAL.T
    model.set_weights([kernel])
    filters = first_layer_filters(model, 4)
    assert filters is not None
    assert filters.kernels.shape == (4, 3, 3, 1)
    assert filters.kinds == ("horizontal", "vertical", "faint", "faint")
    assert np.array_equal(filters.kernels[0, ..., 0], HORIZONTAL)


def test_neurons_of_a_fully_connected_layer_are_images_of_weights():
    image = keras.Input((4, 3, 1))
    model = keras.Model(image, keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(image)))
    kernel = np.arange(24, dtype=np.float32).reshape(12, 2)
    model.set_weights([kernel])
    filters = first_layer_filters(model, 5)
    assert filters is not None
    assert filters.numbers == (1, 0)
    assert filters.kinds == ()
    inputs = np.random.default_rng(0).random((1, 4, 3, 1)).astype(np.float32)
    sums = np.sum(filters.kernels * inputs, axis=(1, 2, 3))
    assert sums == pytest.approx(np.asarray(model(inputs))[0, [1, 0]], rel=1e-5)


def test_the_first_layer_may_lie_in_a_network_inside_the_network():
    inner = convolution(HORIZONTAL[None, ..., None])
    image = keras.Input((8, 8, 1))
    filters = first_layer_filters(keras.Model(image, inner(image)), 4)
    assert filters is not None
    assert filters.kinds == ("horizontal",)


def test_two_coordinates_are_no_picture():
    image = keras.Input((1, 1, 2))
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(image)))
    assert first_layer_filters(model, 4) is None


@pytest.mark.parametrize(("name", "shape"), [("lenet", (28, 28, 1)), ("resnet8", (32, 32, 3))])
def test_our_own_networks_have_sixteen(name, shape):
    filters = first_layer_filters(build_model(name, shape, 10), 100)
    assert filters is not None
    assert sorted(filters.numbers) == list(range(16))
    assert filters.kernels.shape == (16, 3, 3, shape[2])


def test_gray_weights_are_white_at_nothing_blue_above_and_orange_below():
    pixels = signed_pixels(np.array([[[[0.0], [2.0], [-2.0], [1.0]]]]))[0, 0].astype(int)
    assert pixels[0].tolist() == [255, 255, 255]
    assert pixels[1].argmax() == 2
    assert pixels[2].argmax() == 0
    assert pixels[3] == pytest.approx((pixels[0] + pixels[1]) / 2, abs=1)


def test_coloured_weights_are_their_colour_around_gray_and_each_filter_has_its_own_scale():
    kernels = np.zeros((2, 1, 1, 3))
    kernels[0, 0, 0] = (3, -3, 0)
    kernels[1, 0, 0] = (0, 0, 0.1)
    assert signed_pixels(kernels)[:, 0, 0].tolist() == [[255, 0, 128], [128, 128, 255]]
