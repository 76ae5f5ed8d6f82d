"""The networks of MLPerf Tiny through both formats; Keras is the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.constraints.table import violations
from converters.schemes.onnx_float32 import convert_to_onnx_float32
from converters.schemes.onnx_int8 import quantize_to_onnx_int8
from converters.schemes.tflite_float32 import convert_to_tflite_float32
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.sources.keras_file import source_of_keras
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.core.targets import TARGETS
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.device.tflite.file import op_versions
from edge_cnn.host.architectures import build_model
from edge_cnn.host.tensorflow_import import import_tensorflow

pytestmark = pytest.mark.slow

SIZES = {"mobilenet_v1_025": ((64, 48, 3), 2), "ds_cnn": ((49, 10, 1), 12), "autoencoder": ((5, 32, 1), 2)}
"""Odd shares of the strides too, where "same" padding is not the same on both sides."""

WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


@pytest.fixture(scope="module", params=list(SIZES))
def case(request: pytest.FixtureRequest) -> tuple[str, Any, SourceModel, np.ndarray]:
    """Name, network with random weights whose batch normalization has seen data, its source, and inputs."""
    _, keras = import_tensorflow()
    keras.utils.set_random_seed(11)
    shape, classes = SIZES[request.param]
    model = build_model(request.param, shape, classes)
    inputs = np.random.default_rng(11).random((48, *shape), np.float32)
    for _ in range(40):
        model(inputs, training=True)
    return request.param, model, source_of_keras(model, request.param), inputs


def run_tflite(data: bytes, inputs: np.ndarray) -> np.ndarray:
    runtime = open_runtime(Artifact("m.tflite", "tflite", data), "litert-ref")
    (entry,), (end,) = runtime.inputs, runtime.outputs
    if entry.quantization is None:
        return np.asarray(runtime.run([inputs])[0])
    assert end.quantization is not None
    (codes,) = runtime.run([quantize(inputs, entry.quantization, entry.numpy_dtype)])
    return dequantize(codes, end.quantization)


def run_onnx(data: bytes, inputs: np.ndarray) -> np.ndarray:
    channels_first = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    return np.asarray(open_runtime(Artifact("m.onnx", "onnx", data)).run([channels_first])[0])


def noise_share(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the error, as a share of how much the expected outputs vary."""
    return float(np.sqrt(((found - expected) ** 2).mean()) / expected.std())


def test_float_files_of_both_formats_compute_what_keras_computes(case: Any) -> None:
    _, model, source, inputs = case
    expected = model.predict(inputs, verbose=0)
    found = run_tflite(convert_to_tflite_float32(source), inputs)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    found = run_onnx(convert_to_onnx_float32(source), inputs)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_int8_files_of_both_formats_are_near_keras(case: Any) -> None:
    name, model, source, inputs = case
    expected = model.predict(inputs, verbose=0)
    tflite = convert_to_tflite_int8(source, Calibration(inputs))
    onnx = quantize_to_onnx_int8(convert_to_onnx_float32(source), Calibration(inputs), symmetric=False)
    for found in (run_tflite(tflite, inputs), run_onnx(onnx, inputs)):
        assert noise_share(found, expected) < (0.3 if name == "autoencoder" else 0.1)


def test_the_int8_file_has_nothing_but_operators_of_small_runtimes_and_keeps_to_their_rules(case: Any) -> None:
    name, model, source, inputs = case
    _, keras = import_tensorflow()
    artifact = Artifact("m.tflite", "tflite", convert_to_tflite_int8(source, Calibration(inputs)))
    counts = {op: count for op, _, count in op_versions(artifact)}
    assert set(counts) <= WEIGHTED | {"MEAN", "SOFTMAX", "RESHAPE"}
    layers = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    # Batch normalization and ReLU went into them.
    assert sum(counts.get(op, 0) for op in WEIGHTED) == sum(isinstance(layer, layers) for layer in model.layers)
    for target in TARGETS.values():
        if target.format == TFLITE and "int8" in target.schemes:
            assert violations(artifact, target, "int8") == [], (name, target.name)
