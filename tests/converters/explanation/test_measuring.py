"""The figures of layers, against sums and runs made otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.explanation.correspondence import correspond
from converters.explanation.measuring import divergence, measure, probabilities
from converters.explanation.quantized_model import ActivationCodes
from converters.explanation.quantized_onnx import QuantizedOnnx
from converters.explanation.quantized_tflite import QuantizedTflite
from converters.explanation.signal import Signal, ratio_db
from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensorflow_graph import forward
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.schemes.table import recipe_of
from converters.sources.keras_file import source_of_keras
from edge_cnn.core.errors import ModelError
from edge_cnn.core.targets import find_target
from edge_cnn.verify.sqnr import sqnr_db


@pytest.fixture(scope="module")
def source(tiny_keras):
    return source_of_keras(tiny_keras, "tiny")


@pytest.fixture(scope="module")
def inputs(tiny_pixels):
    return (tiny_pixels / np.float32(127.5) - 1).astype(np.float32)


@pytest.fixture(scope="module")
def file(source, inputs) -> bytes:
    graph = source.float_graph
    return quantize_to_int8(graph, ranges_of(graph, Calibration(inputs)))


@pytest.fixture(scope="module")
def measured(source, file, inputs):
    model = QuantizedTflite(file)
    labels = np.arange(len(inputs)) % 4
    return measure(source.float_graph, model, correspond(source.float_graph, model), inputs, labels)


def test_a_signal_summed_in_batches_is_that_of_the_whole():
    rng = np.random.default_rng(0)
    wanted = rng.normal(0, 1, (50, 4, 3, 5))
    got = wanted + rng.normal(0.1, 0.05, wanted.shape)
    signal = Signal()
    for rows in (slice(0, 7), slice(7, 50)):
        signal.add(wanted[rows], got[rows])
    assert signal.sqnr_db == pytest.approx(sqnr_db(wanted, got))
    by_hand = [sqnr_db(wanted[..., i], got[..., i]) for i in range(5)]
    np.testing.assert_allclose(signal.channel_sqnr_db, by_hand)
    np.testing.assert_allclose(signal.mean_error, (got - wanted).mean(axis=(0, 1, 2)))
    np.testing.assert_array_equal(signal.high, wanted.max(axis=(0, 1, 2)))
    np.testing.assert_array_equal(signal.other_low, got.min(axis=(0, 1, 2)))


def test_values_without_a_code_are_counted_and_their_noise_is_told_apart():
    codes = ActivationCodes(0.1, 0, -128, 127)
    wanted = np.linspace(-20, 20, 4001).reshape(-1, 1)
    signal = Signal()
    signal.add(wanted, codes.rounded(wanted.astype(np.float32)), codes)
    beyond = (wanted > 12.75) | (wanted < -12.85)
    assert signal.saturation == pytest.approx(beyond.mean(), abs=1e-3)
    assert signal.clipped_share > 0.99


def test_signal_without_noise_and_noise_without_signal():
    assert ratio_db(1, 0) == np.inf
    assert ratio_db(0, 1) == -np.inf
    assert ratio_db(np.nan, 1) == -np.inf


def test_divergence_is_zero_of_equal_scores_and_takes_logits_as_well():
    scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
    assert divergence(scores, scores).max() == 0
    np.testing.assert_allclose(probabilities(np.log(scores)), probabilities(scores), rtol=1e-6)
    swapped = divergence(scores, scores[:, ::-1])
    np.testing.assert_allclose(swapped[0], 0.7 * np.log(7) + 0.1 * np.log(1 / 7), rtol=1e-5)


def test_the_damage_of_a_layer_alone_is_that_of_the_whole_graph_with_hooks(source, file, inputs, measured):
    graph, model = source.float_graph, QuantizedTflite(file)
    layer = graph.layers[1]
    operator = next(o for o in model.operators if o.name == layer.name)
    codes = operator.output

    def rounded(index, value):
        if index != layer.output:
            return value
        q = np.clip(np.rint(np.asarray(value) / np.float32(codes.scale)) + codes.zero_point, -128, 127)
        return ((q - codes.zero_point) * codes.scale).astype(np.float32)

    constants = {layer.weights: operator.weight_values, layer.bias: operator.bias.values.astype(np.float32)}
    alone = np.asarray(forward(graph, constants=constants, on_activation=rounded)(inputs))
    whole = np.asarray(forward(graph)(inputs))
    facts = next(f for f in measured.layers if f.name == layer.name)
    assert facts.damage.flips == np.mean(alone.argmax(1) != whole.argmax(1))
    assert facts.damage.divergence == pytest.approx(divergence(whole, alone).mean(), rel=1e-3, abs=1e-9)
    labels = np.arange(len(inputs)) % 4
    assert facts.damage.drop == pytest.approx((whole.argmax(1) == labels).mean() - (alone.argmax(1) == labels).mean())


def test_scores_of_both_models_are_those_of_their_runtimes(source, file, inputs, measured):
    from ai_edge_litert.interpreter import Interpreter

    np.testing.assert_allclose(measured.float_scores, source.predict(inputs), atol=1e-5)
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    entry, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = entry["quantization"]
    for sample, got in zip(inputs[:8], measured.quantized_scores, strict=False):
        codes = np.clip(np.rint(sample / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(entry["index"], codes[None])
        interpreter.invoke()
        want = (interpreter.get_tensor(end["index"]).astype(int) - end["quantization"][1]) * end["quantization"][0]
        np.testing.assert_allclose(got, want[0], atol=1.1 / 256)


def test_weights_and_biases_of_the_file_are_the_models_but_for_rounding(source, file):
    graph = source.float_graph
    model = QuantizedTflite(file)
    operators = {operator.name: operator for operator in model.operators}
    for layer in graph.layers:
        operator = operators[layer.name]
        assert operator.weights.bits == 8
        error = np.abs(operator.weight_values - graph.constant(layer.weights))
        assert (error <= operator.weights.steps() * 0.501).all()
        np.testing.assert_allclose(operator.bias.values, graph.constant(layer.bias), atol=1e-3)
    assert model.input.low == pytest.approx(-1, abs=0.02)


@pytest.mark.slow  # makes two .onnx files
@pytest.mark.parametrize("target", ["rpi5-onnx", "jetson-orin"])
def test_an_onnx_file_has_the_same_layers_and_figures_near_the_tflite_files(target, source, inputs, measured):
    data = recipe_of(find_target(target), "int8").convert(source, Calibration(inputs))
    model, graph = QuantizedOnnx(data), source.float_graph
    pairs = correspond(graph, model)
    assert not pairs.by_name
    found = measure(graph, model, pairs, inputs, np.arange(len(inputs)) % 4)
    layers = {facts.name: facts for facts in measured.layers}
    assert {layer.name for layer in graph.layers} <= {facts.name for facts in found.layers}
    for facts in found.layers:
        assert facts.sqnr_db > 20
        if facts.weights is not None:
            assert facts.weight_sqnr_db.min() > 30
            assert facts.alone.sqnr_db == pytest.approx(layers[facts.name].alone.sqnr_db, abs=8)


def test_models_that_do_not_correspond_are_refused_with_the_layer(source, file):
    graph = source.float_graph
    other = QuantizedTflite(file)
    fewer = [operator for operator in other.operators if operator.op != "FULLY_CONNECTED"]
    other.__dict__["operators"] = tuple(fewer)
    with pytest.raises(ModelError, match=r"do not correspond: the reference has 1 FULLY_CONNECTED .* file 0"):
        correspond(graph, other)


def test_layers_of_one_shape_are_told_by_their_weights_where_names_differ(file):
    import dataclasses

    model = QuantizedTflite(file)
    renamed = [dataclasses.replace(operator, name=f"n{i}") for i, operator in enumerate(model.operators)]
    by_name = {pair.reference.name: pair.quantized for pair in correspond(_float(file, model), model).pairs}
    model.__dict__["operators"] = tuple(renamed)
    pairs = correspond(_float(file, model), model)
    assert not pairs.by_name
    assert {pair.reference.name: pair.quantized for pair in pairs.pairs} == by_name


def _float(file: bytes, model: QuantizedTflite) -> FloatGraph:
    """A float graph with the file's names and weights: what its codes stand for."""

    class Decoded(FloatGraph):
        def constant(self, index):
            for raw, operator in zip(self.layers, (o for o in model.operators if o.weights), strict=True):
                if raw.weights == index:
                    return operator.weight_values
            return super().constant(index)

    return Decoded(file)
