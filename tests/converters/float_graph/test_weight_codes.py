"""Weights that are codes, back to float: against what LiteRT computes from the codes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.converter_output import silent_step
from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.weight_codes import with_float_weights


@pytest.fixture(scope="module")
def converter():
    with silent_step("making a model"):
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(3)
        k = keras.layers
        layers = [keras.Input((16, 16, 3)), k.Conv2D(32, 3, activation="relu"), k.DepthwiseConv2D(3), k.Flatten()]
        model = keras.Sequential([*layers, k.Dense(10)])
        concrete = tf.function(lambda t: model(t, training=False)).get_concrete_function(
            tf.TensorSpec((1, 16, 16, 3), tf.float32)
        )
        module = tf.Module()
        module.kept = list(concrete.variables)  # type: ignore[attr-defined]

    def convert(*types):
        with silent_step("converting"):
            made = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
            made.optimizations = [tf.lite.Optimize.DEFAULT] if types else []
            if types != ("int8",):
                made.target_spec.supported_types = [getattr(tf, name) for name in types]
            return FloatGraph(bytes(made.convert()))

    return convert


def outputs(graph, count=4):
    inputs = np.random.default_rng(0).uniform(0, 1, (count, *graph.tensors[graph.inputs[0]].shape[1:]))
    found = activations(graph, inputs.astype(np.float32), [graph.outputs[0]])
    return np.concatenate([values[graph.outputs[0]] for values in found])


def types_of(graph):
    return {t.type for t in graph.tensors if t.constant is not None}


def test_float16_weights_become_float32_and_compute_the_same(converter):
    file = converter("float16")
    assert "float16" in types_of(file)
    graph = with_float_weights(file)
    assert "float16" not in types_of(graph)
    assert "DEQUANTIZE" not in {o.op for o in graph.operators}
    np.testing.assert_allclose(outputs(graph), outputs(file), atol=1e-5)


def test_dynamic_range_weights_become_float32_within_their_rounding_of_activations(converter):
    plain, file = converter(), converter("int8")
    assert "int8" in types_of(file)
    graph = with_float_weights(file)
    assert "int8" not in types_of(graph)
    # The file rounds activations on the fly, the graph does not; both lie close to the weights before rounding.
    assert np.abs(outputs(graph) - outputs(plain)).max() < 0.05
    for new, old in zip(graph.layers, plain.layers, strict=True):
        weights, original = graph.constant(new.weights), plain.constant(old.weights)
        assert np.abs(weights - original).max() <= np.abs(original).max() / 127 / 2 * 1.001


def test_a_float_file_stays_as_it_is(converter):
    plain = converter()
    assert with_float_weights(plain) is plain


def test_the_published_keyword_model_holds_codes_and_becomes_float():
    place = os.environ.get("EDGE_CNN_DATA")
    if place is None:
        pytest.skip("set EDGE_CNN_DATA to the folder with mlperf_tiny")
    file = FloatGraph((Path(place) / "mlperf_tiny" / "models" / "kws_ref_model_float32.tflite").read_bytes())
    assert "int8" in types_of(file)
    graph = with_float_weights(file)
    assert types_of(graph) <= {"float32", "int32"}
    stored = np.load(Path(place) / "mlperf_tiny" / "kws01_inputs_1000.npz")
    # The official inputs are codes of the int8 file's input: scale and zero point stand there.
    codes = Interpreter(model_path=str(Path(place) / "mlperf_tiny" / "models" / "kws_ref_model.tflite"))
    scale, zero_point = codes.get_input_details()[0]["quantization"]
    inputs = ((stored["x"].astype(np.float32) - zero_point) * scale).astype(np.float32)[..., None]
    right = [
        found[graph.outputs[0]].argmax() == label
        for found, label in zip(activations(graph, inputs, [graph.outputs[0]]), stored["y"], strict=True)
    ]
    assert np.mean(right) >= 0.9
