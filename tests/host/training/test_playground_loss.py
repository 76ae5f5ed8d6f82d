"""The spiral's loss is that of the TensorFlow Playground, which has one output in [-1, 1] and targets of -1 and +1."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from edge_cnn.host.architectures import build_model
from edge_cnn.host.datasets import load_dataset
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training.objectives import find_objective


@pytest.fixture(scope="module")
def points():
    """The test part: inputs (250, 1, 1, 2), labels, targets -1 and +1."""
    test = load_dataset("spiral").test
    return test.images, test.labels, 2.0 * test.labels - 1.0


@pytest.fixture(scope="module")
def ours():
    keras.utils.set_random_seed(7)
    return build_model("mlp", (1, 1, 2), 2)


@pytest.fixture(scope="module")
def theirs(ours):
    """The Playground's kind of network with the same hidden layers: one output neuron of tanh, in Keras."""
    image = keras.Input((1, 1, 2))
    x = keras.layers.Flatten()(image)
    for _ in range(2):
        x = keras.layers.Dense(32, activation="tanh")(x)
    network = keras.Model(image, keras.layers.Dense(1, activation="tanh")(x))
    w1, b1, w2, b2, kernel, bias = ours.get_weights()
    network.set_weights([w1, b1, w2, b2, (kernel[:, 1:] - kernel[:, :1]) / 2, (bias[1:] - bias[:1]) / 2])
    return network


def playground_loss(output, targets):
    """Mean of 1/2 (output - target)^2, in numpy and double precision."""
    return np.mean(0.5 * (np.asarray(output, np.float64).ravel() - targets) ** 2)


def our_losses(network, inputs, labels):
    logits = keras.Model(network.input, network.get_layer("logits").output)(inputs)
    return find_objective("squared-error").losses(tf, logits, labels, inputs)


def test_it_equals_the_playgrounds_loss_of_a_network_with_one_tanh_output(ours, theirs, points):
    inputs, labels, targets = points
    expected = playground_loss(theirs(inputs), targets)
    assert 0.3 < expected < 1.5
    assert float(tf.reduce_mean(our_losses(ours, inputs, labels))) == pytest.approx(expected, rel=1e-5)


def test_it_equals_the_loss_of_an_output_computed_by_hand(ours, points):
    inputs, labels, targets = points
    w1, b1, w2, b2, w3, b3 = (w.astype(np.float64) for w in ours.get_weights())
    logits = np.tanh(np.tanh(inputs.reshape(-1, 2) @ w1 + b1) @ w2 + b2) @ w3 + b3
    output = np.tanh((logits[:, 1] - logits[:, 0]) / 2)
    losses = np.asarray(our_losses(ours, inputs, labels))
    np.testing.assert_allclose(losses, 0.5 * (output - targets) ** 2, atol=1e-5)


def test_the_hidden_layers_get_the_same_gradients(ours, theirs, points):
    inputs, labels, targets = points
    hidden, same = ours.trainable_variables[:4], theirs.trainable_variables[:4]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(our_losses(ours, inputs, labels))
    gradients = tape.gradient(loss, hidden)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(0.5 * (theirs(inputs)[:, 0] - tf.constant(targets, tf.float32)) ** 2)
    for got, expected in zip(gradients, tape.gradient(loss, same), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_watched_test_part_is_measured_so_and_the_model_that_is_left_has_what_its_epoch_tells():
    spiral = load_dataset("spiral")
    config = TrainConfig("mlp", "sgd", 0.1, epochs=3, batch_size=25, augmentation=None, objective="squared-error")
    result = train(config, spiral.train, watched=spiral.test)
    scores = result.model.predict(spiral.test.images, verbose=0)
    told = result.history[result.best_epoch]
    assert told.test_loss == pytest.approx(
        playground_loss(scores[:, 1] - scores[:, 0], 2 * spiral.test.labels - 1), rel=1e-4
    )
    assert told.test_wrong == np.sum(scores.argmax(axis=1) != spiral.test.labels)


def test_the_watched_part_decides_nothing():
    spiral = load_dataset("spiral")
    config = TrainConfig("mlp", "sgd", 0.1, epochs=3, batch_size=25, augmentation=None, objective="squared-error")
    runs = [train(config, spiral.train, watched=watched) for watched in (spiral.test, None)]
    for watched, unwatched in zip(runs[0].model.get_weights(), runs[1].model.get_weights(), strict=True):
        assert np.array_equal(watched, unwatched)
    assert runs[0].best_epoch == runs[1].best_epoch
    assert runs[1].history[-1].test_loss is None
