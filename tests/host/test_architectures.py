import math
import os
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.core.artifact import read_artifact
from edge_cnn.core.errors import InputError
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.host.architectures import ARCHITECTURES, build_model
from edge_cnn.host.architectures.architecture import BOTTLENECK, OUTPUT
from edge_cnn.host.architectures.mlp import HIDDEN
from edge_cnn.host.tensorflow_import import import_tensorflow

CLASSIFIERS = [name for name, row in ARCHITECTURES.items() if row.task == "classification"]


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 2), ((28, 28, 1), 10), ((33, 21, 3), 7)])
def test_any_size_and_class_count_gives_a_softmax_over_the_classes(name, shape, classes):
    smallest = ARCHITECTURES[name].min_side
    shape = (max(shape[0], smallest), max(shape[1], smallest), shape[2])
    model = build_model(name, shape, classes)
    scores = model(np.random.default_rng(0).random((3, *shape), np.float32), training=False).numpy()
    assert scores.shape == (3, classes)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "parameters"),
    [
        ("resnet8", (32, 32, 3), 10, 78_666),
        ("mobilenet_v1_025", (96, 96, 3), 2, 221_794),
        ("ds_cnn", (49, 10, 1), 12, 24_908),
        ("autoencoder", (5, 128, 1), 2, 269_992),
    ],
)
def test_an_architecture_of_mlperf_tiny_has_as_many_parameters_as_the_reference(name, shape, classes, parameters):
    assert build_model(name, shape, classes).count_params() == parameters


@pytest.mark.parametrize(
    ("name", "shape", "classes", "file"),
    [
        ("resnet8", (32, 32, 3), 10, "pretrainedResnet"),
        ("ds_cnn", (49, 10, 1), 12, "kws_ref_model_float32"),
        ("autoencoder", (5, 128, 1), 2, "ad01_fp32"),
    ],
)
def test_the_weights_are_those_of_mlperf_tinys_files_with_batch_norm_folded_in(name, shape, classes, file):
    if not os.environ.get("EDGE_CNN_DATA"):
        pytest.skip("set EDGE_CNN_DATA to the folder with mlperf_tiny")
    _, keras = import_tensorflow()
    path = Path(os.environ["EDGE_CNN_DATA"]) / "mlperf_tiny" / "models" / f"{file}.tflite"
    graph = read_tflite(read_artifact(path)).subgraphs[0]
    weighted = [o for o in graph.operators if o.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    expected = sorted(math.prod(graph.tensors[i].shape) for o in weighted for i in o.inputs[1:])
    model = build_model(name, shape, classes)
    layers = [layer for layer in model.layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))]
    layers += [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert sorted(math.prod(weight.shape) for layer in layers for weight in layer.weights) == expected


def test_the_autoencoder_gives_back_as_many_numbers_as_it_takes_and_has_no_classes():
    model = build_model("autoencoder", (7, 9, 3), 0)
    found = model(np.random.default_rng(0).random((2, 7, 9, 3), np.float32), training=False).numpy()
    assert found.shape == (2, 7 * 9 * 3)
    assert found.dtype == np.float32
    assert [layer.name for layer in model.layers][-1] == OUTPUT == model.output_names[0]
    assert model.get_layer(BOTTLENECK).output.shape == (None, 8)
    assert not {"logits", "scores"} & {layer.name for layer in model.layers}
    assert ARCHITECTURES["autoencoder"].task == "reconstruction"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_converters_can_fold_every_batch_norm_and_find_the_head(name):
    _, keras = import_tensorflow()
    model = build_model(name, (32, 32, 1), 10)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert bool(norms) == (name != "mlp")
    for norm in norms:
        assert isinstance(norm.input._keras_history.operation, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    *_, head, last = model.layers
    assert (head.name, last.name) == ("logits", "scores")
    assert isinstance(head, keras.layers.Dense)
    assert isinstance(last, keras.layers.Softmax)
    assert 32 <= head.input.shape[1] <= 256


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
        ("vgg", (28, 28, 1), 10, "unknown architecture 'vgg'; known: lenet, resnet8, mlp, mobilenet_v1_025, ds_cnn"),
        ("lenet", (28, 7, 1), 10, "images of 28x7 pixels are too small for lenet"),
        ("mobilenet_v1_025", (31, 96, 3), 2, "too small for mobilenet_v1_025; it needs at least 32x32"),
        ("lenet", (28, 28, 1), 1, "at least two classes, got 1"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(name, shape, classes, said):
    with pytest.raises(InputError, match=said):
        build_model(name, shape, classes)
