"""The float graph against the file that LiteRT runs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from converters.converter_output import silent_step
from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensorflow_graph import forward
from converters.float_graph.weight_codes import with_float_weights
from edge_cnn.core.errors import ModelError

MODELS = ("pretrainedResnet", "kws_ref_model_float32", "ad01_fp32")


@pytest.fixture(params=MODELS)
def published(request):
    place = os.environ.get("EDGE_CNN_DATA")
    if place is None:
        pytest.skip("set EDGE_CNN_DATA to the folder with mlperf_tiny")
    graph = FloatGraph((Path(place) / "mlperf_tiny" / "models" / f"{request.param}.tflite").read_bytes())
    return with_float_weights(graph)


def samples(graph, count=3):
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    return np.random.default_rng(0).normal(0, 1, (count, *shape)).astype(np.float32)


@pytest.fixture(scope="session")
def many_operators():
    """A Keras model of every kind of layer that small classifiers have, as a float .tflite."""
    with silent_step("making a model"):
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(1)
        k = keras.layers
        inputs = keras.Input((12, 10, 3))
        x = k.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
        x = k.BatchNormalization()(x)
        x = k.ReLU(6.0)(x)
        y = k.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu")(x)
        y = k.Conv2D(8, 1)(y)
        x = k.Add()([x, y])
        x = k.LeakyReLU(negative_slope=0.2)(x)
        x = k.ZeroPadding2D(((0, 1), (1, 0)))(x)
        x = k.Conv2D(6, 3, strides=2, activation="hard_swish")(x)
        a, b = k.AveragePooling2D(2, padding="same")(x), k.MaxPooling2D(2, padding="same")(x)
        x = k.Concatenate()([a, b, k.Activation("sigmoid")(a), k.Activation("tanh")(b)])
        x = k.PReLU(shared_axes=[1, 2], alpha_initializer="he_normal")(x)
        x = k.Conv2D(5, 3, dilation_rate=2, padding="same", activation="elu")(x)
        x = k.UpSampling2D(2)(x)
        x = k.UpSampling2D(2, interpolation="bilinear")(x)
        x = k.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
        z = k.GlobalAveragePooling2D()(x)
        x = k.Concatenate()([k.Flatten()(x), z, k.GlobalMaxPooling2D()(x)])
        x = k.Dense(7, activation="gelu")(x)
        model = keras.Model(inputs, k.Dense(4, activation="softmax")(x))
        for layer in model.layers:
            if isinstance(layer, k.BatchNormalization):
                layer.set_weights([np.random.default_rng(2).uniform(0.5, 2, w.shape) for w in layer.get_weights()])
        concrete = tf.function(lambda t: model(t, training=False)).get_concrete_function(
            tf.TensorSpec((1, 12, 10, 3), tf.float32)
        )
        module = tf.Module()
        module.kept = list(concrete.variables)  # type: ignore[attr-defined]
        return FloatGraph(bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()))


def run_file(graph, inputs):
    return np.concatenate([found[graph.outputs[0]] for found in activations(graph, inputs, [graph.outputs[0]])])


def test_tensorflows_operators_compute_what_the_published_file_computes(published):
    inputs = samples(published)
    want = run_file(published, inputs)
    np.testing.assert_allclose(np.asarray(forward(published)(inputs)), want, atol=2e-4 * max(1, np.abs(want).max()))


def test_tensorflows_operators_compute_every_activation_of_a_model_with_many_kinds_of_layers(many_operators):
    inputs = samples(many_operators)
    kinds = {operator.op for operator in many_operators.operators}
    assert {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
        "FULLY_CONNECTED",
        "PAD",
        "CONCATENATION",
        "MEAN",
    } <= kinds
    seen = {}
    forward(many_operators, on_activation=lambda index, value: seen.setdefault(index, value))(inputs)
    for place, found in enumerate(activations(many_operators, inputs)):
        for index, want in found.items():
            np.testing.assert_allclose(np.asarray(seen[index])[place : place + 1], want, atol=3e-5)


def test_layers_name_their_weights_and_biases(published):
    for layer in published.layers:
        weights, name = published.constant(layer.weights), published.tensors[layer.output].name
        assert name == layer.name
        assert published.constant(layer.bias).shape == (weights.shape[layer.channel_axis],)
    assert {layer.operator.op for layer in published.layers} <= {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def test_other_constants_make_another_file_and_the_same_ones_compute_the_same(published):
    inputs = samples(published, 1)
    same = published.with_constants({layer.bias: published.constant(layer.bias) for layer in published.layers})
    np.testing.assert_array_equal(run_file(same, inputs), run_file(published, inputs))
    last = published.layers[-1]
    shifted = published.with_constants({last.bias: published.constant(last.bias) + np.float32(1)})
    seen, old = ({}, {})
    for graph, kept in ((shifted, seen), (published, old)):
        kept.update(next(iter(activations(graph, inputs, [last.output]))))
    np.testing.assert_allclose(seen[last.output], old[last.output] + 1, rtol=1e-5, atol=1e-4)
    assert len(shifted.data) <= len(published.data) + 1000


def test_hooks_replace_constants_and_activations(published):
    inputs = samples(published, 2)
    first = published.layers[0]
    zero = forward(published, constants={first.weights: np.zeros_like(published.constant(first.weights))})(inputs)
    seen = {}
    forward(published, on_activation=lambda i, v: seen.setdefault(i, v))(inputs)
    again = forward(published, on_activation=lambda i, v: v * 0 + seen[i] if i == first.output else v)(inputs * 0)
    np.testing.assert_allclose(np.asarray(again), np.asarray(forward(published)(inputs)), rtol=1e-4, atol=1e-4)
    assert not np.allclose(np.asarray(zero), np.asarray(again))


def test_ranges_are_written_beside_activations(published):
    from ai_edge_litert import schema_py_generated as schema

    index = published.layers[0].output
    graph = published.with_ranges({index: (-1.5, 2.0)})
    quantization = schema.ModelT.InitFromPackedBuf(graph.data, 0).subgraphs[0].tensors[index].quantization
    assert (list(quantization.min), list(quantization.max)) == ([-1.5], [2.0])


@pytest.mark.parametrize("data", [b"", b"text", b"\0\0\0\0TFL3" + b"\xff" * 100])
def test_what_is_no_file_is_said_in_one_line(data):
    with pytest.raises(ModelError, match=r"\.tflite"):
        FloatGraph(data)


def test_an_operator_outside_the_table_is_named_with_its_layer(many_operators):
    class Foreign(FloatGraph):
        @property
        def operators(self):
            import dataclasses

            return (dataclasses.replace(many_operators.operators[0], op="CUMSUM", name="layer/cumsum"),)

    with pytest.raises(ModelError, match=r"CUMSUM \(layer/cumsum\)"):
        forward(Foreign(many_operators.data))
