import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training.inputs import default_preprocessing
from edge_cnn.host.training.normalization import (
    LAYER,
    Normalization,
    find_normalization,
    puts_normalization,
    with_normalization,
)


def drawn(mean, std, count=200, channels=1, seed=0):
    return np.random.default_rng(seed).normal(mean, std, (count, 6, 6, channels)).astype(np.float32)


@pytest.mark.parametrize(
    "inputs",
    [
        np.random.default_rng(0).random((50, 6, 6, 3)),
        np.random.default_rng(0).random((50, 6, 6, 3)) * 2 - 1,
        drawn(0, 1),
        drawn(0.9, 0.1),
        np.ones((50, 6, 6, 1)),
        np.zeros((50, 6, 6, 1)),
    ],
)
def test_inputs_of_a_usual_scale_are_left_alone(inputs):
    assert find_normalization(inputs.astype(np.float32)) is None


def test_floats_0_to_255_become_what_pixels_become():
    found = find_normalization(np.random.default_rng(0).integers(0, 256, (50, 6, 6, 3)).astype(np.float32))
    assert found.like_pixels
    assert (found.mean, found.std) == ((0.0,) * 3, (255.0,) * 3)


@pytest.mark.parametrize(("mean", "std"), [(1000, 3), (0, 50), (0, 0.001), (-40, 1), (0.5, 0.01)])
def test_inputs_of_another_scale_are_brought_to_mean_0_and_deviation_1(mean, std):
    inputs = drawn(mean, std)
    found = find_normalization(inputs)
    normalized = (inputs.astype(np.float64) - found.mean) / found.std
    assert abs(normalized.mean()) < 1e-6
    assert abs(normalized.std() - 1) < 1e-6


def test_channels_of_different_scales_get_one_scale_and_a_constant_one_no_infinity():
    inputs = drawn(0, (1, 0.06, 1), channels=3) * (1, 1, 40)
    inputs[..., 1] = 7
    found = find_normalization(inputs)
    normalized = (inputs - found.mean) / found.std
    np.testing.assert_allclose(normalized.std(axis=(0, 1, 2)), (1, 0, 1), atol=1e-5)
    assert "from channel to channel" in found.reason


@pytest.mark.parametrize("name", ["lenet", "resnet8", "mlp"])
def test_the_layer_computes_what_normalizing_by_hand_does(name):
    from edge_cnn.host.architectures import build_model

    model = build_model(name, (12, 12, 2), 3)
    behind = with_normalization(model, Normalization((3.0, -50.0), (2.0, 9.0), ""))
    inputs = drawn((3, -50), (2, 9), count=20, channels=2)[:, :, :, :].repeat(2, axis=1).repeat(2, axis=2)
    by_hand = ((inputs - np.array([3, -50])) / np.array([2, 9])).astype(np.float32)
    np.testing.assert_allclose(
        behind.predict(inputs, verbose=0), model.predict(by_hand, verbose=0), rtol=1e-4, atol=1e-5
    )
    assert [layer.name for layer in behind.layers] == ["image", LAYER, *(layer.name for layer in model.layers[1:])]
    assert behind.get_layer(LAYER).trainable_weights == []


def far_off(bars):
    """Bars in floats that no network learns as they are."""
    samples = bars(90)
    return LabelledImages(1000 + samples.images.astype(np.float32) / 50, samples.labels, samples.class_names)


def test_training_learns_inputs_far_off_with_the_layer_and_not_without(bars):
    accuracies = {}
    for how in ("auto", "none"):
        config = TrainConfig("mlp", epochs=25, batch_size=16, augmentation=None, normalization=how, patience=None)
        result = train(config, far_off(bars))
        accuracies[how] = result.history[-1].accuracy
        assert any(layer.name == LAYER for layer in result.model.layers) == (how == "auto")
    assert accuracies["auto"] > 0.9
    assert accuracies["none"] < 0.5


def test_pixels_and_reconstructions_see_their_inputs_as_they_are(bars):
    assert not puts_normalization(TrainConfig("autoencoder", objective="reconstruction"))
    assert puts_normalization(TrainConfig())
    result = train(TrainConfig("mlp", epochs=1, augmentation=None), bars(60))
    assert all(layer.name != LAYER for layer in result.model.layers)


def test_pixels_that_use_few_levels_are_scaled_by_the_preprocessing():
    levels = np.arange(17, dtype=np.uint8).repeat(64).reshape(17, 8, 8, 1)
    assert default_preprocessing(LabelledImages(levels, np.arange(17) % 2, ("a", "b"))).std == (16.0,)
    blank = LabelledImages(np.zeros((2, 8, 8, 1), np.uint8), np.arange(2), ("a", "b"))
    assert default_preprocessing(blank).std == (255.0,)


def test_an_unknown_way_is_refused():
    with pytest.raises(InputError, match="unknown normalization 'always'; known: auto, none"):
        TrainConfig(normalization="always")
