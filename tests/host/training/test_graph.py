"""The graph's step against Keras' own, against finite differences, and against sums in numpy."""

import numpy as np
import pytest

from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.objectives import OBJECTIVES, find_objective, smoothed
from edge_cnn.host.training.optimizers import make_optimizer
from edge_cnn.host.training.steps import Steps

SAMPLES, CLASSES = 12, 3


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(SAMPLES, 2, 3, 1)).astype(np.float32), rng.integers(0, CLASSES, SAMPLES)


def network():
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((2, 3, 1))
    hidden = keras.layers.Dense(5, activation="tanh", name="hidden")(keras.layers.Flatten()(image))
    logits = keras.layers.Dense(CLASSES, name="logits")(hidden)
    return keras.Model(image, keras.layers.Softmax(name="scores")(logits))


def graph_of(data, model=None, *, objective="cross-entropy", optimizer="sgd", weights=(1.0, 1.0, 1.0)):
    weights = np.array(weights, np.float32)
    parts = (model or network(), find_objective(objective), make_optimizer(optimizer))
    return TrainingGraph(*parts, *data, weights, None)


def steps(order, rate=0.1, keep=0.0):
    order = np.array(order, np.int32)
    count = len(order)
    filled = (np.full(count, value, np.float32) for value in (rate, keep))
    return Steps(order, np.zeros((count, 2), np.int32), *filled)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_steps_are_those_of_keras_itself(data, optimizer):
    import keras

    graph, peer = graph_of(data, optimizer=optimizer), network()
    trainer = keras.Model(peer.inputs, peer.get_layer("logits").output)
    own = make_optimizer(optimizer)
    trainer.compile(own, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    own.learning_rate.assign(0.1)
    order = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [3, 1, 7, 9]]
    graph.run(steps(order))
    for rows in order:
        trainer.train_on_batch(data[0][rows], data[1][rows])
    for mine, theirs in zip(graph.model.get_weights(), trainer.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("objective", ["cross-entropy", "squared-error"])
def test_a_step_follows_the_gradient_that_finite_differences_give(data, objective):
    weights = np.array([0.5, 1.0, 2.0])
    graph = graph_of(data, objective=objective, weights=weights)
    before = [value.astype(np.float64) for value in graph.model.get_weights()]
    rate = 1e-3
    graph.run(steps([range(SAMPLES)], rate=rate))
    kernel = before[2]  # of the logits
    moved = (kernel - graph.model.get_weights()[2]) / (rate * 1.9)  # Nesterov's first step

    def loss(changed):
        hidden = np.tanh(data[0].reshape(SAMPLES, -1) @ before[0] + before[1])
        logits = hidden @ changed + before[3]
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        if objective == "cross-entropy":
            losses = -np.log(scores[np.arange(SAMPLES), data[1]])
        else:
            losses = ((scores - np.eye(CLASSES)[data[1]]) ** 2).sum(axis=1)
        return np.mean(losses * weights[data[1]])

    for place in ((0, 0), (2, 1), (4, 2)):
        step = np.zeros_like(kernel)
        step[place] = 1e-6
        assert moved[place] == pytest.approx((loss(kernel + step) - loss(kernel - step)) / 2e-6, rel=0.01, abs=1e-4)
    assert graph.totals().loss == pytest.approx(loss(kernel), rel=1e-5)


def test_however_many_steps_a_call_takes_the_bits_are_the_same(data):
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    order = np.random.default_rng(0).integers(0, SAMPLES, (9, 4))
    states = []
    for sizes in ([9], [1, 3, 5], [1] * 9):
        graph, start = graph_of(data, optimizer="adam"), 0
        for size in sizes:
            graph.run(steps(order[start : start + size], keep=0.9))
            start += size
        states.append(b"".join(value.tobytes() for value in graph.get_state()))
    assert states[0] == states[1] == states[2]


def test_a_state_brings_back_everything_that_decides_the_next_step(data):
    graph = graph_of(data, optimizer="adam")
    graph.run(steps([[0, 1, 2], [3, 4, 5]], keep=0.5))
    state = graph.get_state()
    graph.run(steps([[6, 7, 8]], keep=0.5))
    ended = graph.get_state()
    other = graph_of(data, optimizer="adam")
    other.set_state(state)
    other.run(steps([[6, 7, 8]], keep=0.5))
    assert all(np.array_equal(a, b) for a, b in zip(ended, other.get_state(), strict=True))


def test_the_running_mean_keeps_what_it_is_told_to(data):
    graph = graph_of(data)
    before = graph.model.get_weights()
    graph.run(steps([[0, 1, 2]], keep=0.75))
    for mean, old, new in zip(graph.mean.get_weights(), before, graph.model.get_weights(), strict=True):
        np.testing.assert_allclose(mean, 0.75 * old + 0.25 * new, rtol=1e-5, atol=1e-7)


def test_an_evaluation_is_the_mean_over_all_samples_in_however_many_batches(data, monkeypatch):
    graph = graph_of(data)
    whole = graph.evaluate(*data)
    monkeypatch.setattr("edge_cnn.host.training.graph.EVALUATION_BATCH", 5)
    scores = graph.mean.predict(data[0], verbose=0)
    expected = -np.log(scores[np.arange(SAMPLES), data[1]]).mean(), np.mean(scores.argmax(axis=1) == data[1])
    assert whole == pytest.approx(expected, rel=1e-5)
    assert graph.evaluate(*data) == pytest.approx(expected, rel=1e-5)


def test_a_reconstruction_has_a_loss_and_no_right_answers(data):
    import keras

    image = keras.Input((2, 3, 1))
    model = keras.Model(image, keras.layers.Dense(6, name="output")(keras.layers.Flatten()(image)))
    graph = graph_of(data, model, objective="reconstruction")
    loss, accuracy = graph.evaluate(*data)
    expected = np.mean((model.predict(data[0], verbose=0) - data[0].reshape(SAMPLES, -1)) ** 2)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert np.isnan(accuracy)
    graph.run(steps([range(SAMPLES)] * 20))
    assert np.isnan(graph.totals().accuracy)
    assert graph.evaluate(*data)[0] < loss


def test_smoothed_labels_give_the_cross_entropy_of_keras_with_label_smoothing():
    import keras
    import tensorflow as tf

    logits = np.random.default_rng(0).normal(size=(5, CLASSES)).astype(np.float32)
    labels = np.array([0, 1, 2, 1, 0])
    peer = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2, reduction="none")
    losses = smoothed(find_objective("cross-entropy"), 0.2)(tf, tf.constant(logits), tf.constant(labels), None)
    np.testing.assert_allclose(losses, peer(np.eye(CLASSES, dtype=np.float32)[labels], logits), rtol=1e-5)


def test_two_classes_give_the_squared_error_of_one_output_between_minus_and_plus_one():
    import tensorflow as tf

    logits = np.array([[0.3, -1.2], [2.0, 2.5], [-4.0, 1.0]], np.float32)
    labels = np.array([0, 1, 0])
    output = np.tanh((logits[:, 1] - logits[:, 0]) / 2)
    expected = 0.5 * (output - np.where(labels == 1, 1, -1)) ** 2
    losses = OBJECTIVES["squared-error"].losses(tf, tf.constant(logits), tf.constant(labels), None)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
