import numpy as np
import pytest

from edge_cnn.core.errors import ModelError
from edge_cnn.host.architectures import ARCHITECTURES, build_model
from edge_cnn.host.architectures.architecture import LOGITS
from edge_cnn.host.transfer.embedding import find_embedding


def pool():
    import keras

    return keras.layers.GlobalAveragePooling2D(name="pool")


def layers():
    import keras

    return keras.layers


def features_of(model, inputs):
    import keras

    return keras.Model(model.inputs, find_embedding(model, "it")).predict(inputs, verbose=0)


@pytest.mark.parametrize(
    ("end", "ends_at"),
    [
        (lambda k: [pool(), k.Dense(5, activation="softmax")], "pool"),
        (lambda k: [pool(), k.Dropout(0.5, name="drop"), k.Dense(5), k.Softmax()], "pool"),
        (lambda k: [pool(), k.Dense(7, activation="relu", name="wide"), k.Dense(1, activation="sigmoid")], "wide"),
        (lambda k: [pool(), k.Dense(7, activation="relu", name="wide")], "wide"),
        (lambda k: [pool(), k.Dense(7, name="wide"), k.ReLU(name="relu")], "relu"),
        (lambda k: [pool(), k.Dense(5), k.Activation("softmax")], "pool"),
        (lambda _: [pool()], "pool"),
        (lambda k: [pool(), k.Dropout(0.5)], "pool"),
    ],
)
def test_what_gives_scores_is_cut_and_what_gives_features_is_not(network, end, ends_at):
    import keras

    model = network(*end(layers()))
    inputs = np.random.default_rng(0).normal(size=(3, 12, 12, 1)).astype(np.float32)
    expected = keras.Model(model.inputs, model.get_layer(ends_at).output).predict(inputs, verbose=0)
    assert np.array_equal(features_of(model, inputs), expected)


def test_a_head_of_one_place_that_is_a_convolution_is_cut_too(network):
    k = layers()
    end = [k.GlobalAveragePooling2D(keepdims=True, name="pool"), k.Conv2D(5, 1), k.Reshape((5,)), k.Softmax()]
    assert tuple(find_embedding(network(*end), "it").shape) == (None, 8)


def test_a_sequential_network_of_networks_is_cut_at_its_own_last_layer(network):
    import keras

    model = keras.Sequential([keras.Input((12, 12, 1)), network(), pool(), keras.layers.Dense(4)])
    assert find_embedding(model, "it") is model.layers[1].output


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_of_ours_has_an_embedding(name):
    model = build_model(name, (32, 32, 1), 4)
    embedding = find_embedding(model, name)
    names = [layer.name for layer in model.layers]
    expected = model.get_layer(LOGITS).input if LOGITS in names else model.get_layer("bottleneck").output
    assert embedding is expected


def several_outputs(network):
    import keras

    model = network(pool())
    return keras.Model(model.inputs, [model.outputs[0], model.get_layer("norm1").output])


def of_any_size(_network):
    import keras

    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))


def of_vectors(_network):
    import keras

    vector = keras.Input((8,))
    return keras.Model(vector, keras.layers.Dense(3)(vector))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda network: network(), r"it ends with features of shape \(10, 10, 8\), a new head needs flat ones"),
        (several_outputs, "it has 2 outputs, training needs one"),
        (of_any_size, r"it takes inputs of shape \(None, None, None, 3\), not images .* of one size"),
        (of_vectors, r"it takes inputs of shape \(None, 8\), not images"),
    ],
)
def test_a_network_without_flat_features_of_images_is_refused(network, make, said):
    with pytest.raises(ModelError, match=said):
        find_embedding(make(network), "it")
