"""Cross-layer equalization: LiteRT says that the function stays, numpy that the ranges are equal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.converter_output import silent_step
from converters.float_graph.activations import activations
from converters.improvement.equalization import channel_ranges, equalize
from converters.improvement.own_constants import with_own_constants
from converters.schemes.integer_quantizer import quantize_to_int8
from tests.converters.improvement.conftest import float_graph_of
from tests.converters.skewed_nets import digits16, share_right, skewed


def outputs(graph, inputs):
    return np.concatenate([found[graph.outputs[0]] for found in activations(graph, inputs, graph.outputs)])


def largest_by_channel(graph, layer, axis):
    weights = np.abs(graph.constant(layer.weights))
    return weights.max(axis=tuple(i for i in range(weights.ndim) if i != axis % weights.ndim))


def test_the_function_stays_and_both_sides_of_each_pair_have_equal_ranges(jointed, noise):
    equalized = equalize(jointed)
    np.testing.assert_allclose(outputs(equalized.graph, noise), outputs(jointed, noise), atol=1e-5)
    for pair in equalized.pairs:
        made = largest_by_channel(equalized.graph, pair.first, pair.first.channel_axis)
        read = largest_by_channel(equalized.graph, pair.second, -1)
        if pair.second.operator.op == "DEPTHWISE_CONV_2D":
            read = read.reshape(len(made), -1).max(axis=1)
        else:
            read = read.reshape(-1, len(made)).max(axis=0)
        np.testing.assert_allclose(made, read, rtol=1e-5)
        np.testing.assert_allclose(channel_ranges(equalized.graph, pair), (made, read), rtol=1e-6)
    moved = [
        np.abs(jointed.constant(p.first.weights) - equalized.graph.constant(p.first.weights)).max()
        for p in equalized.pairs
    ]
    assert min(moved) > 1e-3


def test_pairs_reach_through_activations_that_scale_and_stop_at_those_that_do_not(jointed):
    equalized = equalize(jointed)
    kinds = [(p.first.operator.op, p.second.operator.op) for p in equalized.pairs]
    # plain -> multiplied -> (LeakyReLU, mean, padding) -> six; after ... concatenation; flattened -> dense -> last.
    assert kinds == [
        ("CONV_2D", "DEPTHWISE_CONV_2D"),
        ("DEPTHWISE_CONV_2D", "CONV_2D"),
        ("CONV_2D", "FULLY_CONNECTED"),
        ("FULLY_CONNECTED", "FULLY_CONNECTED"),
    ]
    reasons = " | ".join(equalized.skipped)
    for said in ("RELU6 follows, which scaling would move", "2 operators read its output", "LOGISTIC follows"):
        assert said in reasons
    assert reasons.count("CONCATENATION follows") == 2
    assert reasons.endswith("SOFTMAX follows")


def test_a_channel_behind_a_flattening_is_found_at_each_of_its_places(jointed):
    pair = next(p for p in equalize(jointed).pairs if p.second.operator.op == "FULLY_CONNECTED")
    places = jointed.tensors[pair.second.weights].shape[1]
    assert pair.channels == 5
    assert places > 5
    assert pair.owners.tolist() == [place % 5 for place in range(places)]


def test_a_skew_is_taken_back_exactly(depthwise_graph):
    plain, skew = (equalize(g).graph for g in (depthwise_graph, skewed(depthwise_graph, 1, [0, 3], 500.0)))
    for one, other in zip(plain.layers, skew.layers, strict=True):
        np.testing.assert_allclose(plain.constant(one.weights), skew.constant(other.weights), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(plain.constant(one.bias), skew.constant(other.bias), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [1, 8])
def test_an_int8_file_that_a_skew_ruined_is_whole_again(depthwise_graph, digits_split, layer):
    test, train = digits16(digits_split[1]), digits16(digits_split[0])
    calibration = Calibration(train.images[::20] / np.float32(255))
    skew = skewed(depthwise_graph, layer, [0], 200.0)

    def int8(graph):
        return share_right(quantize_to_int8(graph, ranges_of(graph, calibration)), test.images, test.labels)

    right = share_right(depthwise_graph.data, test.images, test.labels)
    assert share_right(skew.data, test.images, test.labels) == pytest.approx(right, abs=0.002)
    assert int8(skew) <= right - 0.05
    assert int8(equalize(skew).graph) >= right - 0.01


def test_a_dead_channel_stays_as_it_is(depthwise_graph):
    first, second = depthwise_graph.layers[2:4]
    weights = depthwise_graph.constant(first.weights).copy()
    weights[2] = 0
    dead = depthwise_graph.with_constants({first.weights: weights})
    equalized = equalize(dead).graph
    assert not equalized.constant(first.weights)[2].any()
    assert np.isfinite(equalized.constant(second.weights)).all()
    inputs = np.random.default_rng(0).uniform(0, 1, (5, 16, 16, 1)).astype(np.float32)
    np.testing.assert_allclose(outputs(equalized, inputs), outputs(dead, inputs), atol=1e-5)


def test_layers_that_shared_a_bias_get_one_each_and_compute_the_same(tiny_shared):
    own = with_own_constants(tiny_shared)
    assert len({layer.bias for layer in tiny_shared.layers}) < len(tiny_shared.layers)
    assert len({layer.bias for layer in own.layers}) == len(own.layers)
    assert None not in {layer.bias for layer in own.layers}
    inputs = np.random.default_rng(0).uniform(0, 1, (3, 8, 8, 2)).astype(np.float32)
    np.testing.assert_array_equal(outputs(own, inputs), outputs(tiny_shared, inputs))
    assert with_own_constants(own) is own


@pytest.fixture
def tiny_shared():
    """Two convolutions whose zero biases the converter stores once."""
    with silent_step("making a model"):
        import keras
        import tensorflow as tf

        from converters.sources.source_model import SourceModel

        keras.utils.set_random_seed(1)
        k = keras.layers
        layers = [keras.Input((8, 8, 2)), k.Conv2D(4, 3), k.Conv2D(4, 1, activation="relu"), k.Flatten(), k.Dense(3)]
        model = keras.Sequential(layers)
        function = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec((None, 8, 8, 2))])
        return SourceModel("shared", function, (8, 8, 2), (3,)).float_graph


JOINTS = ("relu", "linear", "leaky", "relu6", "max", "mean", "pad")


@pytest.mark.slow
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    blocks=st.lists(
        st.tuples(st.sampled_from(["conv", "depthwise", "pointwise"]), st.sampled_from(JOINTS), st.integers(1, 5)),
        min_size=1,
        max_size=5,
    ),
    flatten=st.booleans(),
    spread=st.floats(0, 3),
    seed=st.integers(0, 99),
)
def test_any_chain_of_layers_computes_the_same_with_equal_ranges(blocks, flatten, spread, seed):
    with silent_step("making a model"):
        import keras

        keras.utils.set_random_seed(seed)
        k = keras.layers
        joints = {
            "relu": lambda: k.ReLU(),
            "linear": lambda: k.Activation("linear"),
            "leaky": lambda: k.LeakyReLU(negative_slope=0.3),
            "relu6": lambda: k.ReLU(6.0),
            "max": lambda: k.MaxPooling2D(2, padding="same"),
            "mean": lambda: k.AveragePooling2D(2, padding="same"),
            "pad": lambda: k.ZeroPadding2D(1),
        }
        x = image = keras.Input((9, 8, 2))
        for kind, joint, width in blocks:
            if kind == "depthwise":
                x = k.DepthwiseConv2D(3, padding="same", depth_multiplier=1 + width % 2)(x)
            else:
                x = k.Conv2D(width, 3 if kind == "conv" else 1, padding="same")(x)
            x = joints[joint]()(x)
        x = k.Flatten()(x) if flatten else k.GlobalAveragePooling2D()(x)
        graph = float_graph_of(keras.Model(image, k.Dense(3)(x)))
    rng = np.random.default_rng(seed)
    scales = {
        layer.weights: graph.constant(layer.weights)
        * np.exp(rng.normal(0, spread, graph.tensors[layer.weights].shape[-1])).astype(np.float32)
        for layer in with_own_constants(graph).layers
    }
    graph = with_own_constants(graph).with_constants(scales)
    inputs = rng.uniform(0, 1, (4, 9, 8, 2)).astype(np.float32)
    equalized, before = equalize(graph), outputs(graph, inputs)
    np.testing.assert_allclose(
        outputs(equalized.graph, inputs), before, atol=1e-4 * max(1.0, float(np.abs(before).max()))
    )
    for pair in equalized.pairs:
        made, read = channel_ranges(equalized.graph, pair)
        live = (made > 0) & (read > 0)
        np.testing.assert_allclose(made[live], read[live], rtol=1e-4)
    assert len(equalized.pairs) + len(equalized.skipped) == len(graph.layers)
