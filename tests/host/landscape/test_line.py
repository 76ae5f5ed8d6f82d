"""The line between two minima, against the same networks computed in numpy and against Keras itself."""

import keras
import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures import build_model
from edge_cnn.host.landscape.line import barrier_height, line_between

CLASSES = 3


def data(count=90, seed=0, shape=(1, 1, 2)):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *shape)).astype(np.float32), rng.integers(0, CLASSES, count)


def network(*, normalized=False, hidden=5):
    """Flatten, tanh, and logits; with batch norm before the tanh if wished."""
    image = keras.Input((1, 1, 2))
    features = keras.layers.Dense(hidden)(keras.layers.Flatten()(image))
    if normalized:
        features = keras.layers.BatchNormalization()(features)
    features = keras.layers.Dropout(0.5)(keras.layers.Activation("tanh")(features))
    logits = keras.layers.Dense(CLASSES, name="logits")(features)
    return keras.Model(image, keras.layers.Softmax()(logits))


def random_weights(model, seed):
    rng = np.random.default_rng(seed)
    return [np.abs(rng.normal(size=w.shape)).astype(w.dtype) for w in model.get_weights()]


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def numpy_scores(weights, inputs):
    kernel, bias, *norm, last, last_bias = (np.asarray(w, np.float64) for w in weights)
    hidden = inputs.reshape(len(inputs), -1).astype(np.float64) @ kernel + bias
    if norm:
        gamma, beta, *_ = norm
        hidden = gamma * (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-3) + beta
    return softmax(np.tanh(hidden) @ last + last_bias)


@pytest.mark.parametrize("normalized", [False, True], ids=["plain", "statistics of the samples"])
def test_losses_and_accuracies_on_the_line_are_those_of_numpy(normalized):
    model = network(normalized=normalized)
    first, second = random_weights(model, 1), random_weights(model, 2)
    inputs, labels = data()
    line = line_between(model, first, second, inputs, labels, points=5)
    assert line.alphas.tolist() == [0, 0.25, 0.5, 0.75, 1]
    for alpha, loss, accuracy in zip(line.alphas, line.losses, line.accuracies, strict=True):
        scores = numpy_scores([(1 - alpha) * a + alpha * b for a, b in zip(first, second, strict=True)], inputs)
        assert loss == pytest.approx(-np.log(scores[np.arange(len(labels)), labels]).mean(), rel=1e-5)
        assert accuracy == pytest.approx(np.mean(scores.argmax(axis=1) == labels))


def test_squared_error_is_the_brier_score_and_half_of_it_the_playgrounds_loss_for_two_classes():
    model = network()
    first, second = random_weights(model, 1), random_weights(model, 2)
    inputs, labels = data()
    line = line_between(model, first, second, inputs, labels, "squared-error", 2)
    squares = np.sum((numpy_scores(second, inputs) - np.eye(CLASSES)[labels]) ** 2, axis=1)
    assert line.losses[1] == pytest.approx(squares.mean(), rel=1e-5)


def test_reconstruction_measures_the_output_against_the_input_and_has_no_accuracy():
    image = keras.Input((1, 1, 2))
    model = keras.Model(image, keras.layers.Dense(2, use_bias=False)(image))
    inputs, labels = data()
    twice, same = [2 * np.eye(2, dtype=np.float32)], [np.eye(2, dtype=np.float32)]
    line = line_between(model, same, twice, inputs, labels, "reconstruction", 3)
    assert line.losses == pytest.approx(np.mean(inputs**2) * np.array([0, 0.25, 1]), rel=1e-5)
    assert np.isnan(line.accuracies).all()


def test_more_samples_than_a_batch_give_the_mean_over_all():
    model = network()
    first, second = random_weights(model, 1), random_weights(model, 2)
    inputs, labels = data(count=600)
    line = line_between(model, first, second, inputs, labels, points=2)
    scores = numpy_scores(first, inputs)
    assert line.losses[0] == pytest.approx(-np.log(scores[np.arange(600), labels]).mean(), rel=1e-5)


def test_exchanged_hidden_neurons_compute_the_same_and_still_have_a_barrier_between_them():
    """The oracle is a symmetry: any order of the hidden neurons is the same function, and the middle is another."""
    model = network(hidden=2)
    kernel = np.array([[4, -4], [4, 4]], np.float32)
    last = np.array([[3, 0, -3], [0, 3, -3]], np.float32)
    zero = [np.zeros(2, np.float32), np.zeros(CLASSES, np.float32)]
    one = [kernel, zero[0], last, zero[1]]
    other = [kernel[:, ::-1].copy(), zero[0], last[::-1].copy(), zero[1]]
    inputs, _ = data()
    labels = numpy_scores(one, inputs).argmax(axis=1)
    line = line_between(model, one, other, inputs, labels)
    assert line.losses[0] == pytest.approx(line.losses[-1], rel=1e-5)
    assert line.barrier > 0.1
    assert line.accuracies[[0, -1]].tolist() == [1, 1]
    assert line.accuracies[10] < 1


def test_between_a_network_and_itself_there_is_no_barrier():
    model = network(normalized=True)
    weights = random_weights(model, 1)
    line = line_between(model, weights, weights, *data(), points=3)
    assert line.barrier == pytest.approx(0, abs=1e-6)


def test_a_convex_loss_has_no_barrier():
    image = keras.Input((1, 1, 2))
    logits = keras.layers.Dense(CLASSES, name="logits")(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Softmax()(logits))
    line = line_between(model, random_weights(model, 1), random_weights(model, 2), *data())
    assert line.barrier == pytest.approx(0, abs=1e-6)


def test_the_barrier_is_measured_from_the_line_between_the_ends():
    alphas = np.linspace(0, 1, 5)
    assert barrier_height(alphas, np.array([1.0, 1, 1, 1, 3])) == 0
    assert barrier_height(alphas, np.array([1.0, 2, 3, 2, 3])) == pytest.approx(1)


def test_the_model_keeps_its_own_weights_and_its_layers_their_one_output():
    model = build_model("lenet", (8, 8, 1), CLASSES)
    before = [w.copy() for w in model.get_weights()]
    inputs, labels = data(20, shape=(8, 8, 1))
    line_between(model, random_weights(model, 1), random_weights(model, 2), inputs, labels, points=2)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.get_layer("logits").output.shape == (None, CLASSES)


def test_a_frozen_batch_norm_keeps_the_statistics_that_it_was_given():
    model = network(normalized=True)
    model.layers[3].trainable = False
    assert isinstance(model.layers[3], keras.layers.BatchNormalization)
    weights = random_weights(model, 1)
    inputs, labels = data()
    model.set_weights(weights)
    scores = np.asarray(model(inputs))
    line = line_between(model, weights, weights, inputs, labels, points=2)
    assert line.losses[0] == pytest.approx(-np.log(scores[np.arange(len(labels)), labels]).mean(), rel=1e-5)


def test_batch_norm_inside_a_network_inside_the_network_is_recomputed_too():
    flat, nested = network(normalized=True), network(normalized=True)
    image = keras.Input((1, 1, 2))
    inner = keras.Model(nested.inputs, nested.get_layer("logits").input, name="backbone")
    logits = keras.layers.Dense(CLASSES, name="logits")(inner(image))
    whole = keras.Model(image, keras.layers.Softmax()(logits))
    weights = random_weights(flat, 1)
    lines = [line_between(model, weights, weights, *data(), points=2) for model in (flat, whole)]
    assert lines[1].losses == pytest.approx(lines[0].losses, rel=1e-6)


def test_a_sequential_model_is_taken_too():
    model = keras.Sequential(
        [
            keras.Input((1, 1, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, name="logits"),
            keras.layers.Softmax(),
        ]
    )
    weights = random_weights(model, 1)
    assert np.isfinite(line_between(model, weights, weights, *data(), points=2).losses).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": 1}, "at least 2"),
        ({"first": [np.zeros(3)]}, "the first weights are not of this architecture"),
        ({"objective_name": "hinge"}, "unknown objective 'hinge'; known: cross-entropy"),
    ],
)
def test_what_cannot_be_a_line_is_refused(change, words):
    model = network()
    inputs, labels = data()
    given = {"first": model.get_weights(), "second": model.get_weights(), "inputs": inputs, "labels": labels} | change
    with pytest.raises(InputError, match=words):
        line_between(model, **given)


def test_a_classifier_without_logits_is_refused_with_the_names_that_it_has():
    image = keras.Input((1, 1, 2))
    model = keras.Model(image, keras.layers.Dense(CLASSES, activation="softmax", name="output")(image))
    with pytest.raises(InputError, match=r"no layer 'logits'; its last layers are .*output"):
        line_between(model, model.get_weights(), model.get_weights(), *data())
