from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.calibration.ranges import RANGE_OF_INPUT, ranges_of
from converters.calibration.samples import Calibration
from converters.calibration.table import ESTIMATORS
from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.sources.load import load_source_model
from edge_cnn.core.errors import InputError, ModelError


@pytest.fixture(scope="module")
def graph(tiny_folder: Path) -> FloatGraph:
    return load_source_model(tiny_folder / "tiny.keras").float_graph


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(2).normal(0.2, 1, (50, 12, 10, 3)).astype(np.float32)


def test_min_max_ranges_are_those_of_keras_own_layers(graph: FloatGraph, inputs: np.ndarray, tiny_keras: Any) -> None:
    import keras

    ranges = ranges_of(graph, Calibration(inputs, "min-max"))
    assert set(ranges) == set(graph.activations)
    assert ranges[graph.inputs[0]] == (float(inputs.min()), float(inputs.max()))
    # These are tensors of their own once BatchNorm is folded and ReLU is fused.
    layers = [layer for layer in tiny_keras.layers if isinstance(layer, keras.layers.ReLU)]
    assert len(layers) == 2
    for layer in layers:
        values = np.asarray(keras.Model(tiny_keras.input, layer.output)(inputs))
        expected = (min(float(values.min()), 0.0), float(values.max()))
        assert any(np.allclose(found, expected, rtol=1e-4, atol=1e-5) for found in ranges.values())


@pytest.mark.parametrize("method", ESTIMATORS)
def test_ranges_are_those_of_an_estimator_told_of_everything_at_once(
    graph: FloatGraph, inputs: np.ndarray, method: str
) -> None:
    ranges = ranges_of(graph, Calibration(inputs, method))
    kept = list(activations(graph, inputs))
    fixed = {o for operator in graph.operators if operator.op == "SOFTMAX" for o in operator.outputs}
    assert fixed == set(graph.outputs)
    copies = {o: op.inputs[0] for op in graph.operators if op.op in RANGE_OF_INPUT for o in op.outputs}
    assert copies
    assert all(ranges[output] == ranges[copied] for output, copied in copies.items())
    for index in set(graph.activations) - set(copies):
        estimator = ESTIMATORS[method]()
        estimator.update(np.concatenate([values[index] for values in kept]))
        assert ranges[index] == ((0.0, 1.0) if index in fixed else estimator.range())


def test_the_quantizer_takes_the_ranges_as_they_are(graph: FloatGraph, inputs: np.ndarray) -> None:
    from ai_edge_litert.interpreter import Interpreter

    ranges = ranges_of(graph, Calibration(inputs, "mse"))
    interpreter = Interpreter(model_content=quantize_to_int8(graph, ranges), num_threads=1)
    scales = [float(d["quantization"][0]) for d in interpreter.get_tensor_details() if d["quantization"][0]]
    for index, (low, high) in ranges.items():
        if index in graph.outputs:
            continue
        assert min(abs(scale * 255 / (high - low) - 1) for scale in scales) < 1e-5
    (output,) = interpreter.get_output_details()
    assert output["quantization"] == (1 / 256, -128)  # of Softmax, whatever range was written


def test_ranges_are_measured_once_for_the_same_samples_and_anew_for_others(
    graph: FloatGraph, inputs: np.ndarray
) -> None:
    calibration, seen = Calibration(inputs), list[int]()
    first = ranges_of(graph, calibration, lambda done, _: seen.append(done))
    asked = len(seen)
    assert ranges_of(graph, calibration, lambda done, _: seen.append(done)) == first
    assert len(seen) == asked > 0
    assert ranges_of(graph, Calibration(2 * inputs)) != first
    assert ranges_of(graph, Calibration(inputs, "entropy")) != first
    assert ranges_of(graph, calibration) == first


def test_progress_ends_with_all_samples(graph: FloatGraph, inputs: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    ranges_of(graph, Calibration(inputs), lambda done, total: seen.append((done, total)))
    assert seen == [(n, 50) for n in (8, 16, 24, 32, 40, 48, 50)]


@pytest.mark.parametrize("method", ESTIMATORS)
def test_memory_does_not_grow_with_the_number_of_samples(graph: FloatGraph, inputs: np.ndarray, method: str) -> None:
    def peak(count: int) -> int:
        many = np.resize(inputs, (count, *inputs.shape[1:]))
        tracemalloc.start()
        try:
            ranges_of(graph, Calibration(many, method))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(8)  # what is loaded once
    assert peak(400) < 1.2 * peak(40)


def test_a_tensor_of_nan_is_named(graph: FloatGraph, inputs: np.ndarray) -> None:
    layer = graph.layers[0]
    spoiled = graph.with_constants({layer.weights: np.full_like(graph.constant(layer.weights), np.inf)})
    with pytest.raises(ModelError, match=r"tensor '.+': activations hold NaN or infinity"):
        ranges_of(spoiled, Calibration(inputs))


def test_padding_has_the_range_of_what_it_pads() -> None:
    import keras

    from converters.sources.keras_file import source_of_keras

    keras.utils.set_random_seed(0)
    entry = keras.Input((12, 10, 3))
    hidden = keras.layers.ZeroPadding2D(8)(keras.layers.Conv2D(4, 3)(entry))
    hidden = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3)(hidden))
    source = source_of_keras(keras.Model(entry, keras.layers.Dense(3, activation="softmax")(hidden)), "padded")
    (pad,) = [operator for operator in source.float_graph.operators if operator.op == "PAD"]
    inputs = np.random.default_rng(0).normal(size=(20, 12, 10, 3)).astype(np.float32)
    ranges = ranges_of(source.float_graph, Calibration(inputs, "percentile"))
    assert ranges[pad.outputs[0]] == ranges[pad.inputs[0]]


def test_an_unknown_method_is_refused(graph: FloatGraph, inputs: np.ndarray) -> None:
    with pytest.raises(InputError, match="unknown calibration method 'best'"):
        ranges_of(graph, Calibration(inputs, "best"))
