import numpy as np
import pytest

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.architectures import build_model
from edge_cnn.host.decision_surface.plane import Plane, plane_of
from edge_cnn.host.decision_surface.surfaces import SurfaceProbe, can_be_probed

PLANE = Plane((-1.0, -2.0), (1.0, 2.0), (1, 1, 2))


@pytest.fixture(scope="module")
def network():
    """A perceptron with three classes and biases that are not 0."""
    import keras

    keras.utils.set_random_seed(4)
    model = build_model("mlp", (1, 1, 2), 3)
    rng = np.random.default_rng(4)
    model.set_weights([rng.normal(0, 1, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def by_hand(model, points):
    """What both hidden layers and the softmax give for (n, 2), in double precision."""
    w1, b1, w2, b2, w3, b3 = (w.astype(np.float64) for w in model.get_weights())
    first = np.tanh(points @ w1 + b1)
    second = np.tanh(first @ w2 + b2)
    powers = np.exp(second @ w3 + b3)
    return first, second, powers / powers.sum(axis=1, keepdims=True)


def test_surfaces_are_what_the_layers_give_when_computed_by_hand(network):
    seen = SurfaceProbe(network, PLANE).look(7)
    first, second, scores = by_hand(network, PLANE.grid(7).reshape(-1, 2).astype(np.float64))
    assert list(seen.neurons) == ["hidden1", "hidden2"]
    for got, expected in ((seen.neurons["hidden1"], first), (seen.neurons["hidden2"], second), (seen.scores, scores)):
        np.testing.assert_allclose(got, expected.reshape(7, 7, -1), atol=2e-5)


def test_a_probe_sees_new_weights_of_the_same_network(network):
    probe = SurfaceProbe(network, PLANE)
    before, weights = probe.scores(3), network.get_weights()
    try:
        network.set_weights([w[..., ::-1] if w.shape in ((32, 3), (3,)) else w for w in weights])
        np.testing.assert_allclose(probe.scores(3), before[..., ::-1], atol=1e-6)
    finally:
        network.set_weights(weights)


def test_answers_are_those_of_the_network_itself(network):
    points = np.random.default_rng(0).uniform(-1, 1, (9, 1, 1, 2)).astype(np.float32)
    np.testing.assert_allclose(
        SurfaceProbe(network, PLANE).answers(points), network.predict(points, verbose=0), atol=1e-6
    )


def test_a_hidden_layer_is_seen_behind_its_normalization_and_activation():
    import keras

    image = keras.Input((1, 1, 2))
    x = keras.layers.Dense(4, name="wide", use_bias=False)(keras.layers.Flatten()(image))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    logits = keras.layers.Dense(2, name="logits")(x)
    model = keras.Model(image, keras.layers.Softmax(name="scores")(logits))
    seen = SurfaceProbe(model, PLANE).look(8).neurons
    assert list(seen) == ["wide"]
    kernel = model.get_layer("wide").get_weights()[0]
    straight = PLANE.grid(8).reshape(-1, 2) @ kernel
    expected = np.maximum(straight, 0) / np.sqrt(1 + 1e-3)  # An untrained normalization has mean 0 and variance 1.
    np.testing.assert_allclose(seen["wide"].reshape(-1, 4), expected, rtol=1e-4, atol=1e-6)


def test_a_network_without_classes_is_not_probed(network):
    assert can_be_probed(network)
    assert not can_be_probed(build_model("autoencoder", (1, 1, 2), 2))


def test_any_way_to_write_two_numbers_is_a_plane_for_the_network():
    points = np.random.default_rng(1).normal(0, 1, (20, 2, 1, 1)).astype(np.float32)
    plane = plane_of(LabelledImages(points, np.arange(20) % 2, ("a", "b")))
    model = build_model("mlp", (2, 1, 1), 2)
    scores = SurfaceProbe(model, plane).scores(5)
    np.testing.assert_allclose(
        scores.reshape(-1, 2), by_hand(model, plane.grid(5).reshape(-1, 2).astype(np.float64))[2], atol=2e-5
    )
