"""The gate must bite: a real bundle, and devices on which one thing is wrong."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edge_cnn.core.bundle import Bundle
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.verify.replay import judge, verify

EVERY_FILE = ["int8.tflite", "float32.tflite", "int8.onnx", "float32.onnx"]
INTEGER_RUNS = [("int8.tflite", "litert"), ("int8.tflite", "litert-ref"), ("int8.onnx", "onnxruntime")]


@pytest.fixture
def verdict(bundle, in_process):
    """Judge the artifact SCHEME.FORMAT of a bundle, whose files are damaged before they are loaded."""

    def verdict_of(key, runtime, damage=lambda artifact: artifact, given=bundle):
        entry = next(e for e in given.manifest.artifacts if f"{e.scheme}.{e.format}" == key)
        return judge(given, entry.name, in_process(damage), runtime)

    return verdict_of


@pytest.mark.parametrize("key", EVERY_FILE)
def test_clean_repeats_pass_with_the_same_numbers(verdict, key):
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    results = [verdict(key, runtime) for _ in range(3)]
    assert all(r.passed for r in results), results[0].reason
    assert results[0].to_json() == results[1].to_json() == results[2].to_json()


def test_the_kernels_of_the_recording_are_exact(verdict):
    result = verdict("int8.tflite", "litert-ref")
    assert result.passed
    assert result.parity.logits.max_lsb == result.parity.outputs.max_lsb == 0
    assert result.reason == "logits bit for bit those of the host"


def test_other_kernels_differ_without_a_shift(verdict):
    result = verdict("int8.tflite", "litert")
    assert result.kernels == "xnnpack"
    assert result.parity.logits.max_lsb <= 3
    assert abs(result.parity.logits.mean_lsb) < 0.1


@pytest.mark.parametrize(("key", "runtime"), [("float32.tflite", "litert"), ("float32.onnx", "onnxruntime")])
def test_flipped_sign_bits_of_floats_fail(verdict, edits, key, runtime):
    # 3 mod 4 is the byte of sign and exponent; a stride of 4 * odd + 3 would wander, so all of them are hit.
    def every_sign(array):
        array.view(np.uint8).reshape(-1)[3::400] ^= 0x80
        return array

    damages = {
        "tflite": edits.damaged_tflite(
            lambda file: every_sign(file.constant(file.operators(edits.CONV_2D)[1].Inputs(1), np.uint8))
        ),
        "onnx": edits.damaged_onnx(
            lambda _, constants: edits.changed([t for t in constants.values() if len(t.dims) == 4][1], every_sign)
        ),
    }
    assert not verdict(key, runtime, damages[key.split(".")[1]]).passed


@pytest.mark.parametrize("key", EVERY_FILE)
@pytest.mark.parametrize(("mean", "std"), [(127.5, 127.5), (0.0, 1.0), (0.0, 250.0), (2.0, 255.0)])
def test_wrong_preprocessing_fails(verdict, bundle, key, mean, std):
    wrong = replace(bundle.manifest.preprocessing, mean=(mean,), std=(std,))
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    given = Bundle(replace(bundle.manifest, preprocessing=wrong), bundle.artifacts, bundle.golden)
    result = verdict(key, runtime, given=given)
    assert not result.passed


@pytest.mark.parametrize("key", EVERY_FILE)
def test_two_classes_swapped_in_the_golden_outputs_fail(verdict, bundle, key):
    def swap(codes):
        return {name: rows[:, [1, 0, *range(2, 10)]] for name, rows in codes.items()}

    golden = replace(bundle.golden, outputs=swap(bundle.golden.outputs), logits=swap(bundle.golden.logits))
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    assert not verdict(key, runtime, given=Bundle(bundle.manifest, bundle.artifacts, golden)).passed


@pytest.mark.parametrize("key", EVERY_FILE)
def test_golden_labels_in_another_order_fail(verdict, bundle, key):
    golden = replace(bundle.golden, labels=9 - bundle.golden.labels)
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    result = verdict(key, runtime, given=Bundle(bundle.manifest, bundle.artifacts, golden))
    assert not result.passed
    assert "golden labels" in result.reason


@pytest.mark.parametrize("key", EVERY_FILE)
def test_rows_and_columns_mixed_up_fail(verdict, key, monkeypatch):
    encode = InputEncoder.encode
    monkeypatch.setattr(InputEncoder, "encode", lambda self, images: encode(self, images.transpose(0, 2, 1, 3)))
    runtime = "litert" if key.endswith("tflite") else "onnxruntime"
    assert not verdict(key, runtime).passed


def test_the_whole_bundle_passes_here(bundle_path):
    report = verify(bundle_path)
    assert len(report.results) == 4
    assert report.passed, [r.reason for r in report.results]
    assert all(r.parity.logits is not None for r in report.results)


def test_an_environment_gives_the_same_bits_as_this_process(bundle_path, this_environment):
    here = verify(bundle_path, "local:litert-ref").results
    there = verify(bundle_path, f"{this_environment}:litert-ref").results
    assert [r.parity.logits for r in here] == [r.parity.logits for r in there]
    assert [r.reason for r in here] == [r.reason for r in there]


def flat(outputs, grid):
    """0.5 for the best class and 0.496 for every other one."""
    values = np.full(outputs.shape, 0.496)
    np.put_along_axis(values, outputs.argmax(axis=1)[:, None], 0.5, axis=1)
    return values.astype(np.float32) if grid is None else quantize(values, grid, outputs.dtype)


def faint(outputs, grid):
    """A tenth of every score, so that the best is off by 0.9."""
    if grid is None:
        return outputs / 10
    # Two codes apart at least, so that the answer stays.
    codes = quantize(dequantize(outputs, grid) / 10, grid, outputs.dtype)
    np.put_along_axis(codes, outputs.argmax(axis=1)[:, None], codes.max(axis=1, keepdims=True) + 2, axis=1)
    return codes


def scattered(outputs, grid):
    """One class that is not the best gets 0.2 more in every sample."""
    values = outputs if grid is None else dequantize(outputs, grid)
    values = values.copy()
    np.put_along_axis(values, values.argmin(axis=1)[:, None], values.min(axis=1, keepdims=True) + 0.2, axis=1)
    return values.astype(np.float32) if grid is None else quantize(values, grid, outputs.dtype)


@pytest.mark.parametrize("key_and_runtime", INTEGER_RUNS)
@pytest.mark.parametrize("change", [flat, faint, scattered])
def test_scores_that_the_logits_do_not_explain_fail_though_the_answer_stays(
    bundle, in_process, key_and_runtime, change
):
    key, runtime = key_and_runtime
    entry = next(e for e in bundle.manifest.artifacts if f"{e.scheme}.{e.format}" == key)
    whole = bundle.artifact(entry.name).data

    def lie(opened, artifact):
        # The view of the logits is left alone.
        if artifact.data == whole:
            run = opened.run
            opened.run = lambda inputs: [change(output, opened.outputs[0].quantization) for output in run(inputs)]
        return opened

    result = judge(bundle, entry.name, in_process(lie=lie), runtime)
    assert result.parity.top1_agreement > 0.98
    assert result.parity.logits.max_lsb <= 1
    assert not result.passed
    assert "outputs differ by" in result.reason


def test_a_softmax_of_another_temperature_fails_behind_the_same_logits(verdict, edits):
    def cooler(file):
        from ai_edge_litert import schema_py_generated as schema

        every = file.operators(schema.BuiltinOperator.SOFTMAX)
        if not every:  # the view of the logits ends before it
            return
        (softmax,) = every
        options = schema.SoftmaxOptions()
        options.Init(softmax.BuiltinOptions().Bytes, softmax.BuiltinOptions().Pos)
        position = options._tab.Pos + options._tab.Offset(4)
        file.bytes[position : position + 4] = np.float32(0.5).tobytes()

    result = verdict("int8.tflite", "litert", edits.damaged_tflite(cooler))
    assert result.parity.logits.max_lsb <= 1
    assert not result.passed
    assert "the operators after the last layer differ" in result.reason


def test_an_operator_that_fails_on_the_values_is_a_failed_row(bundle, in_process):
    def fail():
        raise RuntimeError("gather index out of bounds\nNode number 3 (GATHER) failed to invoke.")

    def broken(opened, _):
        opened._interpreter = SimpleNamespace(set_tensor=lambda *_: None, invoke=fail)
        opened.kernels = lambda: Kernels("xnnpack", {})
        return opened

    name = next(a.name for a in bundle.artifacts if a.format == "tflite")
    result = judge(bundle, name, in_process(lie=broken), "litert")
    assert not result.passed
    assert result.reason == (
        f"litert cannot run {name}: gather index out of bounds Node number 3 (GATHER) failed to invoke.; "
        f"see 'edge-cnn inspect {name}'"
    )
