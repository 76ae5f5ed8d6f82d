"""Estimates against the files that the converters write, and against the memory rule that reads those files."""

import os
from pathlib import Path

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.constraints.memory_rules import least_activation_bytes
from converters.schemes.tflite_float32 import convert_to_tflite_float32
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.sources.keras_file import source_of_keras
from edge_cnn.core.artifact import Artifact
from edge_cnn.host.architectures import build_model
from edge_cnn.host.budget.model_costs import model_costs
from edge_cnn.host.tensorflow_import import import_tensorflow

NEAR = 300
"""Bytes, as `file_bytes` promises."""


def with_random_biases(model, rng):
    """As training leaves it: a converter leaves zeros out."""
    model.set_weights(
        [
            weight if weight.ndim > 1 or weight.any() else rng.normal(0, 0.01, weight.shape)
            for weight in model.get_weights()
        ]
    )
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("lenet", (28, 28, 1), 10),
        ("resnet8", (32, 32, 3), 10),
        ("mlp", (28, 28, 1), 10),
        ("mlp", (1, 1, 2), 2),
        ("mobilenet_v1_025", (32, 32, 3), 10),
        ("ds_cnn", (49, 10, 1), 12),
        ("autoencoder", (5, 128, 1), 2),
    ],
)
def test_estimates_are_near_what_an_export_writes(name, shape, classes):
    _, keras = import_tensorflow()
    keras.utils.set_random_seed(4)
    rng = np.random.default_rng(4)
    model = with_random_biases(build_model(name, shape, classes), rng)
    costs, source = model_costs(model), source_of_keras(model, name)
    float32 = convert_to_tflite_float32(source)
    int8 = convert_to_tflite_int8(source, Calibration(rng.random((8, *shape), np.float32)))
    assert costs.size("float32") == pytest.approx(len(float32), abs=NEAR)
    assert costs.size("int8") == pytest.approx(len(int8), abs=NEAR)
    for scheme, data in (("float32", float32), ("int8", int8)):
        assert costs.activation_bytes(scheme) == least_activation_bytes(Artifact("m.tflite", "tflite", data))


@pytest.mark.slow
def test_the_estimate_for_a_trained_network_is_near_the_file_in_its_bundle(keras_model, artifacts):
    costs = model_costs(keras_model)
    for scheme in ("int8", "float32"):
        file = artifacts[f"{scheme}.tflite"]
        # Labels, preprocessing and the signature come on top.
        assert -NEAR <= len(file.data) - costs.size(scheme) <= 3000
        assert costs.activation_bytes(scheme) == least_activation_bytes(file)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "file"),
    [
        ("resnet8", (32, 32, 3), 10, "pretrainedResnet_quant"),
        ("ds_cnn", (49, 10, 1), 12, "kws_ref_model"),
        ("autoencoder", (5, 128, 1), 2, "ad01_int8"),
    ],
)
def test_mlperf_tinys_own_files_of_other_converters_are_a_fifth_away_at_most(name, shape, classes, file):
    if not os.environ.get("EDGE_CNN_DATA"):
        pytest.skip("set EDGE_CNN_DATA to the folder with mlperf_tiny")
    path = Path(os.environ["EDGE_CNN_DATA"]) / "mlperf_tiny" / "models" / f"{file}.tflite"
    assert model_costs(build_model(name, shape, classes)).size("int8") == pytest.approx(path.stat().st_size, rel=0.2)
