import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures import ARCHITECTURES, build_model
from edge_cnn.host.architectures.mlp import HIDDEN
from edge_cnn.host.tensorflow_import import import_tensorflow


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 2), ((28, 28, 1), 10), ((33, 21, 3), 7)])
def test_any_size_and_class_count_gives_a_softmax_over_the_classes(name, shape, classes):
    model = build_model(name, shape, classes)
    scores = model(np.random.default_rng(0).random((3, *shape), np.float32), training=False).numpy()
    assert scores.shape == (3, classes)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


def test_resnet8_has_as_many_parameters_as_mlperf_tinys():
    assert build_model("resnet8", (32, 32, 3), 10).count_params() == 78_666


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_converters_can_fold_every_batch_norm_and_find_the_head(name):
    _, keras = import_tensorflow()
    model = build_model(name, (28, 28, 1), 10)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert bool(norms) == (name != "mlp")
    for norm in norms:
        assert isinstance(norm.input._keras_history.operation, keras.layers.Conv2D)
    *_, head, last = model.layers
    assert (head.name, last.name) == ("logits", "scores")
    assert isinstance(head, keras.layers.Dense)
    assert isinstance(last, keras.layers.Softmax)
    assert 32 <= head.input.shape[1] <= 128


def test_mlp_has_two_hidden_layers_of_tanh_that_can_be_found_by_name():
    model = build_model("mlp", (1, 1, 2), 2)
    points = np.random.default_rng(0).uniform(-1, 1, (5, 1, 1, 2)).astype(np.float32)
    features = points.reshape(5, 2)
    for name in HIDDEN:
        kernel, bias = model.get_layer(name).get_weights()
        assert kernel.shape[1] == 32
        features = np.tanh(features @ kernel + bias)
    kernel, bias = model.get_layer("logits").get_weights()
    logits = features @ kernel + bias
    scores = model(points, training=False).numpy()
    # The Playground's one output in [-1, 1] is the difference of the two scores.
    np.testing.assert_allclose(scores[:, 1] - scores[:, 0], np.tanh((logits[:, 1] - logits[:, 0]) / 2), atol=1e-6)


def test_the_first_neurons_of_mlp_bend_all_over_a_plane_and_not_beside_it():
    import_tensorflow()[1].utils.set_random_seed(3)
    kernel, bias = build_model("mlp", (1, 1, 2), 2).get_layer(HIDDEN[0]).get_weights()
    lengths = np.linalg.norm(kernel, axis=0)
    # Root mean square after Nguyen and Widrow 1990, eq. 6: 0.7 times the square root of 32 neurons.
    assert np.sqrt((lengths**2).mean()) == pytest.approx(0.7 * np.sqrt(32), rel=0.2)
    # The line along which a neuron is 0 lies so far from the origin; the square's corners lie at 1.41.
    distances = bias / lengths
    assert (np.abs(distances) < np.sqrt(2)).mean() > 0.7
    assert distances.min() < -0.5
    assert distances.max() > 0.5


def test_layers_are_named_alike_every_time():
    first, second = (build_model("lenet", (28, 28, 1), 10) for _ in range(2))
    assert [v.path for v in first.weights] == [v.path for v in second.weights]


@pytest.mark.parametrize(
    ("name", "shape", "classes", "said"),
    [
        ("vgg", (28, 28, 1), 10, "unknown architecture 'vgg'; known: lenet, resnet8, mlp"),
        ("lenet", (28, 7, 1), 10, "images of 28x7 pixels are too small for lenet"),
        ("lenet", (28, 28, 1), 1, "at least two classes, got 1"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(name, shape, classes, said):
    with pytest.raises(InputError, match=said):
        build_model(name, shape, classes)
