"""Float `.tflite` files as sources."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.calibration.samples import Calibration
from converters.float_graph.packing import pack
from converters.metadata.tflite_metadata import add_tflite_metadata
from converters.schemes.onnx_float32 import convert_to_onnx_float32
from converters.schemes.onnx_int8 import quantize_to_onnx_int8
from converters.schemes.tflite_float32 import convert_to_tflite_float32
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.sources.load import load_classifier, load_source_model
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import input_range
from edge_cnn.device.tflite.file import read_tflite
from tests.converters.sources.onnx_models import run_onnx
from tests.device.tflite_oracle import schema

LABELS = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def float_file(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tflite") / "tiny.tflite"
    path.write_bytes(convert_to_tflite_float32(load_classifier(tiny_folder / "tiny.keras")))
    return path


def published(name: str) -> Path:
    place = os.environ.get("EDGE_CNN_DATA")
    if place is None:
        pytest.skip("set EDGE_CNN_DATA to the folder with mlperf_tiny")
    return Path(place) / "mlperf_tiny" / "models" / f"{name}.tflite"


def run_litert(data: bytes, inputs: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    rows: list[np.ndarray] = []
    for row in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return np.stack(rows)


def test_a_float_tflite_computes_what_litert_computes(float_file: Path, tiny_pixels: np.ndarray) -> None:
    inputs = tiny_pixels[:8].astype(np.float32) / 255
    source = load_classifier(float_file)
    assert (source.image_shape, source.classes) == ((12, 10, 3), 4)
    assert np.abs(source.predict(inputs) - run_litert(float_file.read_bytes(), inputs)).max() < 1e-6


def test_its_int8_file_is_that_of_the_model_it_was_made_from(
    float_file: Path, tiny_folder: Path, tiny_pixels: np.ndarray
) -> None:
    calibration = Calibration(tiny_pixels.astype(np.float32) / 255)
    expected = convert_to_tflite_int8(load_classifier(tiny_folder / "tiny.keras"), calibration)
    assert convert_to_tflite_int8(load_classifier(float_file), calibration) == expected


def with_open_batch(data: bytes) -> bytes:
    """As the converter writes a model whose batch is None."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (graph,) = model.subgraphs
    constants = {i for i, t in enumerate(graph.tensors) if model.buffers[t.buffer].data is not None}
    for index in {i for o in graph.operators for i in (*o.inputs, *o.outputs) if i >= 0} - constants:
        graph.tensors[index].shapeSignature = [-1, *graph.tensors[index].shape[1:]]
    return pack(model)


def test_a_file_with_an_open_batch_is_read_as_that_of_batch_1(
    float_file: Path, tiny_pixels: np.ndarray, tmp_path: Path
) -> None:
    opened = with_open_batch(float_file.read_bytes())
    (tmp_path / "tiny.tflite").write_bytes(opened)
    assert read_tflite(Artifact("m", "tflite", opened)).inputs[0].shape == (-1, 12, 10, 3)
    source, expected = load_classifier(tmp_path / "tiny.tflite"), load_classifier(float_file)
    assert source.float_graph.data == expected.float_graph.data
    inputs = tiny_pixels[:8].astype(np.float32) / 255
    assert np.array_equal(source.predict(inputs), expected.predict(inputs))


def test_a_batch_that_is_joined_with_positions_has_its_true_size(tmp_path: Path) -> None:
    import tensorflow as tf

    weights = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    module: Any = tf.Module()
    module.forward = tf.function(
        lambda x: tf.reshape(tf.matmul(tf.reshape(x, (-1, 4)), weights), (-1, 60)),
        input_signature=[tf.TensorSpec((None, 12, 4), name="input")],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.forward.get_concrete_function()], module)
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    source = load_source_model(tmp_path / "m.tflite")
    (layer,) = source.float_graph.layers
    assert source.float_graph.tensors[layer.output].shape == (12, 5)
    inputs = np.random.default_rng(1).normal(size=(3, 12, 4)).astype(np.float32)
    assert np.allclose(run_litert(source.float_graph.data, inputs), (inputs @ weights).reshape(3, 60), atol=1e-5)
    interpreter = Interpreter(model_content=convert_to_tflite_int8(source, Calibration(inputs)))
    assert list(interpreter.get_input_details()[0]["shape_signature"]) == [1, 12, 4]


def test_labels_and_normalization_come_from_the_metadata(float_file: Path, tmp_path: Path) -> None:
    preprocessing = input_range(-1.0, 1.0, (12, 10, 3))
    data = add_tflite_metadata(
        float_file.read_bytes(), name="tiny", labels=LABELS, preprocessing=preprocessing, producer="test"
    )
    (tmp_path / "m.tflite").write_bytes(data)
    source = load_classifier(tmp_path / "m.tflite")
    assert (source.labels, source.preprocessing, source.described_by) == (LABELS, preprocessing, "m.tflite")
    # What is written next brings its own metadata, so the old must not stay.
    assert b"TFLITE_METADATA" not in convert_to_tflite_float32(source)


@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "kws_ref_model", "ad01_int8"])
def test_a_quantized_file_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"is already quantized: .* int8; give the float model$"):
        load_source_model(published(name))


def test_int8_of_this_project_is_refused(float_file: Path, tiny_pixels: np.ndarray, tmp_path: Path) -> None:
    calibration = Calibration(tiny_pixels.astype(np.float32) / 255)
    (tmp_path / "m.tflite").write_bytes(convert_to_tflite_int8(load_classifier(float_file), calibration))
    with pytest.raises(ModelError, match=r"is already quantized: .*; give the float model$"):
        load_source_model(tmp_path / "m.tflite")


@pytest.mark.slow  # four conversions each
@pytest.mark.parametrize(
    ("name", "shape", "outputs"),
    [
        ("ad01_fp32", (640,), (640,)),
        ("kws_ref_model_float32", (49, 10, 1), (12,)),
        ("pretrainedResnet", (32, 32, 3), (10,)),
    ],
)
def test_schemes_take_models_that_are_no_image_classifiers(
    name: str, shape: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    source = load_source_model(published(name))
    assert (source.input_shape, source.output_shape) == (shape, outputs)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(40, *shape)).astype(np.float32)
    expected = source.predict(inputs[:5])
    onnx_inputs = inputs.transpose(0, 3, 1, 2) if inputs.ndim == 4 else inputs
    largest = np.abs(expected).max()
    model = convert_to_onnx_float32(source)
    assert np.abs(run_onnx(model, onnx_inputs[:5]) - expected).max() < 1e-4 * largest
    assert np.abs(run_litert(convert_to_tflite_float32(source), inputs[:5]) - expected).max() < 1e-4 * largest
    calibration = Calibration(inputs)
    quantized = run_onnx(quantize_to_onnx_int8(model, calibration, symmetric=False), onnx_inputs[:5])
    assert np.abs(quantized - expected).max() < 0.25 * largest
    interpreter = Interpreter(model_content=convert_to_tflite_int8(source, calibration))
    assert interpreter.get_input_details()[0]["dtype"] is np.int8


def test_a_bundle_is_for_image_classifiers_only() -> None:
    with pytest.raises(ModelError, match=r"takes inputs of shape \(n, 640\), a bundle is for .*; give an image"):
        load_classifier(published("ad01_fp32"))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_one_line(share: float, float_file: Path, tmp_path: Path) -> None:
    data = float_file.read_bytes()
    (tmp_path / "m.tflite").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError) as caught:
        load_source_model(tmp_path / "m.tflite")
    assert "\n" not in str(caught.value)


def test_an_operator_that_is_not_read_is_named_with_its_layer(tmp_path: Path) -> None:
    import tensorflow as tf

    module: Any = tf.Module()
    module.forward = tf.function(
        lambda x: tf.cumsum(tf.reshape(x, (1, 48)), axis=1), input_signature=[tf.TensorSpec((1, 4, 4, 3))]
    )
    concrete = module.forward.get_concrete_function()
    (tmp_path / "m.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
    with pytest.raises(ModelError, match=r"operator CUMSUM \(.*\) is not one that edge_cnn reads"):
        load_source_model(tmp_path / "m.tflite")
