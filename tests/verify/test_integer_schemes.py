"""The gate on bundles of integer schemes: no alarm on any kernels here, and one for what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from edge_cnn.core.bundle import read_bundle
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.core.tolerance import INT4, INT16, computes_of
from edge_cnn.verify.devices.table import parse_device
from edge_cnn.verify.replay import judge

pytestmark = pytest.mark.slow  # exports three schemes of a lenet, and has TFLite Micro compute them

INT16_TYPE = 7
"""Of the schema."""

SCHEMES = ("int8", "int8-per-tensor", "int16x8", "int4-weights")
RUNS = {"litert": "local:litert", "litert-ref": "local:litert-ref", "tflm": "tflm"}


@pytest.fixture(scope="module")
def integer_bundle(keras_path, digits_split, tmp_path_factory):
    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.load import load_source_model

    source = load_source_model(keras_path)
    data = ExportData(digits_split[0], digits_split[1].select(slice(200)))
    config = ExportConfig(("linux-cpu",), SCHEMES, golden_samples=128)
    path = tmp_path_factory.mktemp("integers") / "model.edgecnn"
    export_bundle(source, data, config, preprocessing=source.preprocessing).write(path)
    return read_bundle(path)


@pytest.fixture(scope="module", params=list(RUNS))
def device(request):
    """A device and its RUNTIME."""
    try:
        made = parse_device(RUNS[request.param])
    except DeviceUnavailableError as error:
        pytest.skip(str(error))
    yield made, request.param
    made.close()


class Damaged:
    """A device that gets every file with something wrong in it."""

    def __init__(self, device, damage):
        self._device, self._damage = device, damage

    def __getattr__(self, name):
        return getattr(self._device, name)

    def open(self, artifact, runtime, *, threads=1):
        return self._device.open(self._damage(artifact), runtime, threads=threads)


def scaled_logits(edits):
    """Weights of the last layer worth 2 % more than they were."""

    def edit(file):
        scales = file.quantization(file.operators(edits.FULLY_CONNECTED)[-1].Inputs(1)).ScaleAsNumpy()
        scales *= np.float32(1.02)

    return edits.damaged_tflite(edit)


def shifted_bias(edits):
    """Biases of the first convolution 3 % of its output's range higher."""

    def edit(file):
        operator = file.operators(edits.CONV_2D)[0]
        scales = [
            file.quantization(i).ScaleAsNumpy().astype(np.float64) for i in (operator.Inputs(0), operator.Inputs(1))
        ]
        end = file.quantization(operator.Outputs(0)).ScaleAsNumpy()[0]
        int16 = file.graph.Tensors(operator.Outputs(0)).Type() == INT16_TYPE
        bias = file.constant(operator.Inputs(2), np.int64 if int16 else np.int32)
        steps = 0.03 * (65535 if int16 else 255)
        bias += np.rint(steps * end / (scales[0] * scales[1])).astype(bias.dtype)

    return edits.damaged_tflite(edit)


def entry_of(bundle, scheme):
    (entry,) = [e for e in bundle.manifest.artifacts if e.scheme == scheme]
    return entry


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_healthy_bundle_raises_no_alarm(integer_bundle, device, scheme):
    made, runtime = device
    result = judge(integer_bundle, entry_of(integer_bundle, scheme).name, made, runtime)
    assert result.passed, result.reason


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("damage", [scaled_logits, shifted_bias])
def test_a_fault_is_found(integer_bundle, device, edits, scheme, damage):
    made, runtime = device
    name = entry_of(integer_bundle, scheme).name
    result = judge(integer_bundle, name, Damaged(made, damage(edits)), runtime)
    assert result.parity is not None, result.reason
    assert not result.passed, result.reason


def test_the_manifest_holds_the_bounds_of_each_scheme(integer_bundle):
    found = {s: computes_of(entry_of(integer_bundle, s).tolerances) for s in SCHEMES}
    assert found == {"int8": "integer", "int8-per-tensor": "integer", "int16x8": INT16, "int4-weights": INT4}
