"""Feature maps, against convolutions that are written out in numpy."""

import keras
import numpy as np
import pytest

from edge_cnn.host.architectures import build_model
from edge_cnn.host.insight.feature_maps import feature_maps, mosaic


def correlate(image, kernel):
    """Valid cross-correlation of (height, width) with a kernel 3x3."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    return np.einsum("ijkl,kl->ij", windows, kernel)


def test_maps_are_what_the_filters_give_after_the_activation_function_the_most_active_first():
    rng = np.random.default_rng(0)
    inputs = rng.random((2, 6, 7, 1)).astype(np.float32)
    kernels = rng.normal(size=(3, 3, 1, 3)).astype(np.float32)
    kernels[..., 1] = 2
    image = keras.Input((6, 7, 1))
    model = keras.Model(image, keras.layers.ReLU(name="r")(keras.layers.Conv2D(3, 3, use_bias=False)(image)))
    model.set_weights([kernels])
    (found,) = feature_maps(model, inputs, layers=4, channels=2)
    assert (found.layer, found.filters) == ("r", 3)
    by_hand = [[np.maximum(correlate(x[..., 0], kernels[:, :, 0, c]), 0) for c in range(3)] for x in inputs]
    order = np.argsort(-np.mean(by_hand, axis=(0, 2, 3)))[:2].tolist()
    assert found.channels == tuple(order)
    assert found.channels[0] == 1
    assert found.maps == pytest.approx(np.moveaxis(np.array(by_hand)[:, order], 1, 3), rel=1e-4, abs=1e-6)


def test_layers_are_spread_from_the_first_to_the_last():
    model = build_model("resnet8", (16, 16, 3), 4)
    inputs = np.zeros((1, 16, 16, 3), np.float32)
    assert [m.layer for m in feature_maps(model, inputs, layers=3, channels=1)] == ["relu0", "relu2a", "relu3b"]
    assert len(feature_maps(model, inputs, layers=20, channels=1)) == 7


def test_an_activation_inside_a_convolution_counts_and_one_without_places_does_not():
    image = keras.Input((6, 6, 1))
    features = keras.layers.Conv2D(2, 3, activation="tanh", name="with")(image)
    features = keras.layers.Conv2D(2, 3, name="without")(features)
    features = keras.layers.Conv2D(2, 2, activation="relu", name="one_place")(features)
    model = keras.Model(image, keras.layers.Dense(2, activation="relu")(keras.layers.Flatten()(features)))
    found = feature_maps(model, np.zeros((1, 6, 6, 1), np.float32), layers=4, channels=2)
    assert [m.layer for m in found] == ["with"]


def test_a_network_without_maps_has_none():
    image = keras.Input((1, 1, 2))
    model = keras.Model(image, keras.layers.Dense(4, activation="relu")(keras.layers.Flatten()(image)))
    assert feature_maps(model, np.zeros((1, 1, 1, 2), np.float32), layers=4, channels=2) == ()


def test_looking_changes_neither_weights_nor_statistics():
    model = build_model("lenet", (8, 8, 1), 3)
    before = [w.copy() for w in model.get_weights()]
    feature_maps(model, np.ones((4, 8, 8, 1), np.float32), layers=4, channels=4)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_mosaic_is_white_where_a_map_is_silent_and_darkest_at_its_peak():
    maps = np.zeros((28, 28, 3))
    maps[0, 0] = (1, 5, 0)
    canvas = mosaic(maps, np.array([1, 10, 1]), 2)
    assert canvas.shape == (58, 58, 3)
    assert canvas[1, 1].tolist() == [255, 255, 255]
    peak, half = canvas[0, 0].astype(int), canvas[0, 30].astype(int)
    assert peak.max() < 128
    assert half == pytest.approx((255 + peak) / 2, abs=1)
    assert (canvas[30:] == 255).all()


def test_small_maps_are_enlarged_without_blurring():
    maps = np.arange(4.0).reshape(2, 2, 1)
    canvas = mosaic(maps, np.array([3.0]), 1)
    assert canvas.shape == (28, 28, 3)
    assert len(np.unique(canvas.reshape(-1, 3), axis=0)) == 4
