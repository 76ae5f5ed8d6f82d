"""Vanishing and exploding gradients, of networks that are built to have them and trained."""

import keras
import numpy as np
import pytest

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.insight.gradient_flow import GradientFlow, flow_in_words, gradient_flow
from edge_cnn.host.training import TrainConfig, train


def two_heaps(count=128):
    """Images that two straight lines could tell apart."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    images = rng.normal(size=(count, 4, 4, 1)) + np.where(labels == 1, 1, -1)[:, None, None, None]
    return LabelledImages(np.clip(images / 4, -1, 1).astype(np.float32), labels, ("a", "b"))


def trained(depth, activation, initializer, *, normalized=False):
    """The flow of a network of `depth` hidden layers of 16, after two epochs of plain gradient descent."""
    keras.utils.set_random_seed(3)
    image = keras.Input((4, 4, 1))
    features = keras.layers.Flatten()(image)
    for number in range(depth):
        features = keras.layers.Dense(16, kernel_initializer=initializer, name=f"dense{number}")(features)
        if normalized:
            features = keras.layers.BatchNormalization(name=f"norm{number}")(features)
        features = keras.layers.Activation(activation)(features)
    logits = keras.layers.Dense(2, kernel_initializer=initializer, name="logits")(features)
    model = keras.Model(image, keras.layers.Softmax()(logits))
    config = TrainConfig("lenet", optimizer="sgd", learning_rate=1e-3, epochs=2, batch_size=32, augmentation=None)
    result = train(config, two_heaps(), initial=model)
    flow = gradient_flow(result.model, result.history)
    assert flow is not None
    return flow


@pytest.fixture(scope="module")
def sigmoids():
    return trained(10, "sigmoid", "glorot_uniform")


@pytest.fixture(scope="module")
def oversized():
    return trained(10, "relu", keras.initializers.RandomNormal(stddev=1, seed=1))


@pytest.fixture(scope="module")
def healthy():
    return trained(10, "relu", "he_normal")


def test_ten_layers_of_sigmoids_vanish_and_do_not_explode(sigmoids):
    assert sigmoids.vanishing
    assert not sigmoids.exploding
    # The slope of a sigmoid is 1/4 at most: so much, to the tenth, is what the chain rule leaves.
    assert np.all(sigmoids.ratios < 0.25**8)
    assert "gradients vanish: a weight of dense0 gets" in flow_in_words(sigmoids)


def test_large_initial_weights_explode(oversized):
    assert oversized.exploding
    assert oversized.norms.max() > 1e4
    assert "gradients exploded" in flow_in_words(oversized)
    assert "clip-norm" in flow_in_words(oversized)


def test_a_gradient_that_grows_towards_the_input_explodes_before_it_is_long():
    flow = GradientFlow(("a", "b"), np.array([4, 4]), np.array([1]), np.array([[2.0], [0.01]]))
    assert flow.exploding
    assert "a weight of a got 200 times what one of b got in epoch 1" in flow_in_words(flow)


def test_a_gradient_that_is_not_finite_exploded():
    flow = GradientFlow(("a", "b"), np.array([4, 4]), np.array([1, 2]), np.array([[1.0, np.nan], [1.0, 1.0]]))
    assert flow.exploding
    assert "that of a was not finite in epoch 2" in flow_in_words(flow)


def test_as_deep_a_network_of_relus_with_initial_weights_that_suit_them_does_neither(healthy):
    assert not healthy.vanishing
    assert not healthy.exploding
    assert "reach every layer" in flow_in_words(healthy)


@pytest.mark.slow
def test_batch_norm_mends_the_sigmoids():
    assert not trained(10, "sigmoid", "glorot_uniform", normalized=True).vanishing


def test_layers_stand_from_input_to_output_without_those_that_have_no_kernel():
    flow = trained(2, "relu", "he_normal", normalized=True)
    assert flow.layers == ("dense0", "dense1", "logits")
    assert flow.sizes.tolist() == [16 * 17, 16 * 17, 2 * 17]
    assert flow.epochs.tolist() == [1, 2]


def test_gradients_compare_by_weight_and_not_by_layer():
    flow = GradientFlow(("a", "b"), np.array([400, 4]), np.array([1]), np.array([[2.0], [2.0]]))
    assert flow.per_weight.tolist() == [[0.1], [1.0]]
    assert flow.ratios.tolist() == [0.1]


def test_one_bad_epoch_explodes_and_does_not_vanish():
    norms = np.array([[1.0, 200.0, 1.0], [1.0, 1.0, 1.0]])
    flow = GradientFlow(("a", "b"), np.array([4, 4]), np.array([1, 2, 3]), norms)
    assert flow.exploding
    assert not flow.vanishing
    assert "that of a was 200 long in epoch 2" in flow_in_words(flow)


def test_where_nothing_moves_any_more_nothing_is_said_to_vanish():
    flow = GradientFlow(("a", "b"), np.array([4, 4]), np.array([1, 2]), np.array([[1.0, 0], [1.0, 0]]))
    assert not flow.vanishing
    assert np.isnan(flow.ratios[1])


def test_a_network_of_one_layer_has_no_flow():
    image = keras.Input((4, 4, 1))
    logits = keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Softmax()(logits))
    result = train(TrainConfig("lenet", epochs=1, augmentation=None), two_heaps(32), initial=model)
    assert gradient_flow(result.model, result.history) is None
    assert gradient_flow(result.model, result.history[:1]) is None
