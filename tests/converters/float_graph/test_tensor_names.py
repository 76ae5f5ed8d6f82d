"""Short names, against the file that had the long ones."""

from __future__ import annotations

import numpy as np
import pytest

from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensor_names import short_name, with_short_names
from converters.sources.keras_file import source_of_keras
from edge_cnn.host.architectures import build_model


@pytest.fixture(scope="module")
def graph():
    return source_of_keras(build_model("resnet8", (32, 32, 3), 10), "resnet8").float_graph


@pytest.mark.parametrize(
    ("joined", "short"),
    [
        ("net/relu1/Relu;net/conv1/convolution", "conv1"),
        ("net/block/conv1/BiasAdd", "block/conv1"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall:0"),
        ("act/Relu;stem/BiasAdd;stem/Conv2D;stem/BiasAdd/bias1", "stem"),
        ("net/relu/Relu6;net/norm/batchnorm/mul_1;net/depth/depthwise;1", "depth"),
        ("net/relu1b_1/Relu;net/add1_1/Add", "add1_1"),
        ("pool/Mean", "pool"),
        ("", ""),
    ],
)
def test_a_name_is_that_of_the_layer(joined, short):
    assert short_name(joined) == short


def test_layers_of_a_keras_model_are_found_by_their_names(graph):
    names = [operator.name for operator in graph.operators]
    for layer in ("conv0", "conv1a", "conv1b", "shortcut2", "add3", "embedding", "logits"):
        assert sum(name.startswith(layer) for name in names) == 1, layer
    assert graph.tensors[graph.inputs[0]].name == "input"
    assert names[-1] == "scores"
    assert graph.tensors[graph.layers[0].weights].name == f"{graph.layers[0].name}/weights"
    assert len({tensor.name for tensor in graph.tensors}) == len(graph.tensors)


def test_names_change_nothing_that_is_computed(graph):
    renamed = with_short_names(graph.with_constants({graph.layers[0].bias: np.ones(16, np.float32)}))
    plain = FloatGraph(graph.with_constants({graph.layers[0].bias: np.ones(16, np.float32)}).data)
    image = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    for found, wanted in zip(activations(renamed, image), activations(plain, image), strict=True):
        assert found.keys() == wanted.keys()
        for index, values in found.items():
            np.testing.assert_array_equal(values, wanted[index])
