"""TFLite Micro and the TOSA reference model against LiteRT's reference kernels, numpy and each other."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.artifact import Artifact, read_artifact
from edge_cnn.core.errors import DataError, ModelError
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.verify.replay import verify

pytestmark = pytest.mark.slow  # the TOSA model is slow

DATA = Path(os.environ.get("EDGE_CNN_DATA", "")) / "mlperf_tiny"
needs_data = pytest.mark.skipif(
    not os.environ.get("EDGE_CNN_DATA") or not DATA.is_dir(), reason="set EDGE_CNN_DATA to a folder with mlperf_tiny"
)
SAMPLES = 200
"""All images, a fifth of the words: the TOSA reference model takes 10 to 30 ms for each."""
DEVICES = [("tflm", "tflm"), ("tosa", "tosa-ref")]
OFFICIAL = [("pretrainedResnet_quant", "ic01_inputs_200"), ("kws_ref_model", "kws01_inputs_1000")]
ON_DEVICES = pytest.mark.parametrize(("device", "runtime"), DEVICES)


def official(model, inputs):
    """An MLPerf Tiny int8 file and the codes of its official inputs."""
    artifact = read_artifact(DATA / "models" / f"{model}.tflite")
    x = np.load(DATA / f"{inputs}.npz")["x"][:SAMPLES]
    # Pixels of the image model are codes with zero point -128; keyword spotting's inputs are codes as they lie there.
    codes = (x.astype(np.int16) - 128).astype(np.int8) if x.dtype == np.uint8 else x
    spec = open_runtime(artifact, "litert-ref").inputs[0]
    return artifact, codes.reshape(-1, *spec.shape[1:])


def golden(bundle, artifact):
    spec = open_runtime(artifact, "litert-ref").inputs[0]
    return InputEncoder(bundle.manifest.preprocessing, spec).encode(bundle.golden.inputs)


def reference(artifact, codes):
    return open_runtime(artifact, "litert-ref").run([codes])[0]


def fixed_point(multiplier):
    """Mantissa and exponent as TFLite's QuantizeMultiplier: multiplier = mantissa / 2**31 * 2**exponent."""
    mantissa, exponent = math.frexp(multiplier)
    mantissa = round(mantissa * 2**31)
    return (mantissa // 2, exponent + 1) if mantissa == 2**31 else (mantissa, exponent)


def rounded_once(accumulators, multiplier):
    mantissa, exponent = fixed_point(multiplier)
    shift = 31 - exponent
    return (accumulators * mantissa + (1 << (shift - 1))) >> shift


def rounded_twice(accumulators, multiplier):
    """gemmlowp's SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT."""
    mantissa, exponent = fixed_point(multiplier)
    product = (accumulators << max(exponent, 0)) * mantissa
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.sign(nudged) * (np.abs(nudged) >> 31)
    right = max(-exponent, 0)
    rest, threshold = high & ((1 << right) - 1), (((1 << right) - 1) >> 1) + (high < 0)
    return (high >> right) + (rest > threshold)


def dense_layer(artifact, embeddings, rounding):
    """The last fully-connected layer in numpy: int8 embeddings (n, features) -> int8 logits (n, classes)."""
    file = read_tflite(artifact)
    layer = [op for op in file.main.operators if op.name == "FULLY_CONNECTED"][-1]
    x, weights, bias = (file.main.tensors[i] for i in layer.inputs)
    y = file.main.tensors[layer.outputs[0]]
    values = [
        np.frombuffer(artifact.data[slice(*file.constant(tensor))], dtype).astype(np.int64)
        for tensor, dtype in ((weights, np.int8), (bias, np.int32))
    ]
    accumulators = (embeddings.astype(np.int64) - x.params.zero_point) @ values[0].reshape(weights.shape).T + values[1]
    scales = np.broadcast_to(weights.params.scales, len(values[1]))
    columns = [
        rounding(accumulators[:, i], x.params.scale * float(scale) / y.params.scale) for i, scale in enumerate(scales)
    ]
    return np.clip(np.stack(columns, axis=1) + y.params.zero_point, -128, 127)


@needs_data
@ON_DEVICES
@pytest.mark.parametrize(("model", "inputs"), OFFICIAL)
def test_all_layers_before_the_dense_one_are_bit_for_bit_those_of_litert_ref(
    ready_device, device, runtime, model, inputs
):
    artifact, codes = official(model, inputs)
    backbone = split_head(artifact).backbone
    (there,) = ready_device(device).open(backbone, runtime).run([codes])
    np.testing.assert_array_equal(there, reference(backbone, codes))


@needs_data
@ON_DEVICES
@pytest.mark.parametrize(("model", "inputs"), OFFICIAL)
def test_the_dense_layer_is_rounded_twice_there_and_once_by_litert_ref(ready_device, device, runtime, model, inputs):
    artifact, codes = official(model, inputs)
    split = split_head(artifact)
    embeddings = reference(split.backbone, codes).reshape(len(codes), -1)
    here = reference(split.logits_view, codes)
    (there,) = ready_device(device).open(split.logits_view, runtime).run([codes])
    np.testing.assert_array_equal(here, dense_layer(artifact, embeddings, rounded_once))
    np.testing.assert_array_equal(there, dense_layer(artifact, embeddings, rounded_twice))
    # Were these equal, the test would show nothing; and the tolerance allows 2.
    assert np.abs(there.astype(int) - here).max() == 1


@needs_data
@ON_DEVICES
@pytest.mark.parametrize(("model", "inputs"), OFFICIAL)
def test_where_the_logits_agree_the_softmax_does(ready_device, device, runtime, model, inputs):
    artifact, codes = official(model, inputs)
    logits, opened = split_head(artifact).logits_view, ready_device(device)
    (logits_there,) = opened.open(logits, runtime).run([codes])
    (there,) = opened.open(artifact, runtime).run([codes])
    same = (logits_there == reference(logits, codes)).all(axis=1)
    assert 0.5 < same.mean() < 1
    np.testing.assert_array_equal(there[same], reference(artifact, codes)[same])


@needs_data
@pytest.mark.parametrize(("model", "inputs"), [*OFFICIAL, ("ad01_int8", None)])
def test_both_agree_bit_for_bit(ready_device, model, inputs):
    if inputs is None:
        artifact = read_artifact(DATA / "models" / f"{model}.tflite")
        codes = np.random.default_rng(0).integers(-128, 128, (100, 640), np.int8)
    else:
        artifact, codes = official(model, inputs)
    (micro,), (tosa,) = (ready_device(device).open(artifact, runtime).run([codes]) for device, runtime in DEVICES)
    np.testing.assert_array_equal(micro, tosa)


def test_both_agree_bit_for_bit_on_digits(ready_device, bundle, artifacts):
    artifact = artifacts["int8.tflite"]
    codes = golden(bundle, artifact)
    (micro,), (tosa,) = (ready_device(device).open(artifact, runtime).run([codes]) for device, runtime in DEVICES)
    np.testing.assert_array_equal(micro, tosa)
    assert len(np.unique(micro)) > 10


@ON_DEVICES
def test_a_bundle_verifies_there_with_its_kernels_told(ready_device, bundle_path, device, runtime):
    ready_device(device)
    report = verify(bundle_path, device)
    report.check()
    names = {result.artifact for result in report.results}
    assert names == {"model.tflite", "model-float32.tflite"}
    for result in report.results:
        told = result.to_json()
        assert (told["runtime"], told["kernels"]) == (runtime, runtime)
        assert list(told["parity"]["kernel_shares"].values()) == [1.0]
    assert {skip.reason for skip in report.skipped} == {f"{runtime} loads no .onnx files"}


@ON_DEVICES
def test_samples_give_the_same_in_any_batch(ready_device, bundle, artifacts, device, runtime):
    codes = golden(bundle, artifacts["int8.tflite"])[:5]
    opened = ready_device(device).open(artifacts["int8.tflite"], runtime)
    (together,) = opened.run([codes])
    alone = np.concatenate([opened.run([codes[i : i + 1]])[0] for i in range(5)])
    np.testing.assert_array_equal(together, alone)
    assert opened.run([codes[:0]])[0].shape == (0, 10)


@ON_DEVICES
def test_the_specs_are_those_that_litert_reads(ready_device, artifacts, device, runtime):
    for scheme in ("int8", "float32"):
        artifact = artifacts[f"{scheme}.tflite"]
        here, there = open_runtime(artifact, "litert"), ready_device(device).open(artifact, runtime)
        for a, b in ((here.inputs[0], there.inputs[0]), (here.outputs[0], there.outputs[0])):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert (a.quantization is None) == (b.quantization is None)
            if a.quantization is not None:
                assert a.quantization.scale == pytest.approx(b.quantization.scale, rel=1e-6)
                assert a.quantization.zero_point == b.quantization.zero_point


@ON_DEVICES
@pytest.mark.parametrize(
    "codes", [np.zeros((1, 27, 28, 1), np.int8), np.zeros((1, 28, 28, 1), np.uint8), np.zeros((1, 784), np.int8)]
)
def test_an_input_of_another_kind_is_refused_and_the_next_one_runs(ready_device, artifacts, device, runtime, codes):
    opened = ready_device(device).open(artifacts["int8.tflite"], runtime)
    with pytest.raises(DataError, match="the model takes int8"):
        opened.run([codes])
    assert opened.run([np.zeros((1, 28, 28, 1), np.int8)])[0].shape == (1, 10)


def test_the_arena_that_tflite_micro_takes_is_told(ready_device, artifacts):
    """At least the largest layer's input and output side by side, at most a few times that."""
    opened = ready_device("tflm").open(artifacts["int8.tflite"], "tflm")
    tensors = read_tflite(artifacts["int8.tflite"]).main
    layers = [
        sum(math.prod(tensors.tensors[i].shape) for i in (op.inputs[0], op.outputs[0])) for op in tensors.operators
    ]
    assert max(layers) <= opened.kernels().arena_bytes <= 3 * max(layers)


def test_tflite_micro_refuses_a_hybrid_model_in_one_line(ready_device, tflite_models):
    with pytest.raises(ModelError, match="no hybrid kernels; export it as int8 or float32") as caught:
        ready_device("tflm").open(tflite_models["hybrid"], "tflm")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["int8", "int8-per-tensor", "uint8-io", "no-softmax", "no-dense", "no-bias"])
def test_networks_of_all_kinds_agree(ready_device, tflite_models, name):
    """TFLite Micro and TOSA with each other, and both with LiteRT's reference within the tolerance."""
    artifact = tflite_models[name]
    spec = open_runtime(artifact, "litert-ref").inputs[0]
    limits = np.iinfo(spec.numpy_dtype)
    codes = np.random.default_rng(5).integers(limits.min, limits.max + 1, (50, *spec.shape[1:]), spec.numpy_dtype)
    outputs = [ready_device(device).open(artifact, runtime).run([codes])[0] for device, runtime in DEVICES]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    if name == "no-dense":
        np.testing.assert_array_equal(outputs[0], reference(artifact, codes))
    elif name == "no-softmax":
        assert np.abs(outputs[0].astype(int) - reference(artifact, codes)).max() <= 2


@ON_DEVICES
def test_a_damaged_file_is_refused_in_one_line(ready_device, artifacts, device, runtime):
    data = artifacts["int8.tflite"].data
    with pytest.raises(ModelError, match=r"damaged|refuses") as caught:
        ready_device(device).open(Artifact("cut.tflite", "tflite", data[: len(data) // 3]), runtime)
    assert "\n" not in str(caught.value)


def test_where_there_is_no_tflite_micro_the_device_that_has_it_is_named(bundle_path, capsys):
    assert main(["verify", str(bundle_path), "--on", "local:tflm"]) == 3
    said = capsys.readouterr().err.strip()
    assert "'edge-cnn devices setup tflm'" in said
    assert said.count("\n") == 0


@ON_DEVICES
def test_the_command_line_tells_the_runtimes_version_and_arena(ready_device, bundle_path, capsys, device, runtime):
    ready_device(device)
    assert main(["verify", str(bundle_path), "--on", device, "--json", "--quiet"]) == 0
    parity = json.loads(capsys.readouterr().out)["results"][0]["parity"]
    assert parity["runtime_version"][0].isdigit()
    assert (parity["arena_bytes"] is not None) == (runtime == "tflm")
