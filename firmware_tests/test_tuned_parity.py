"""A file whose last layer was tuned must compute on the device what it computes here, as the file before it did."""

import functools

import pytest

from edge_cnn.core.bundle import read_bundle
from edge_cnn.device.finetuning.finetuning import finetune
from edge_cnn.device.opening import open_classifier
from edge_cnn.verify.devices.device import choose_runtime
from edge_cnn.verify.devices.local import LocalDevice
from edge_cnn.verify.replay import judge

SAMPLES = 300


@pytest.fixture(scope="session")
def tune(bundle_path, tmp_path_factory):
    """Key such as "int8.tflite" -> (the artifact before, our bundle with it alone, tuned on other writers)."""
    from edge_cnn.host.datasets import load_dataset

    @functools.cache
    def tuned(key):
        base = read_bundle(bundle_path)
        name = next(e.name for e in base.manifest.artifacts if f"{e.scheme}.{e.format}" == key)
        samples = load_dataset("optdigits").train.select(slice(SAMPLES))
        result = finetune(open_classifier(bundle_path, artifact=name), samples.images, samples.labels)
        assert result.improved
        path = tmp_path_factory.mktemp("tuned") / "tuned.edgecnn"
        result.classifier.save(path)
        return base.artifact(name), read_bundle(path)

    return tuned


@pytest.fixture(params=["int8.tflite", "float32.tflite", "int8.onnx", "float32.onnx"])
def tuned(request, tune):
    """Each of our own files."""
    return tune(request.param)


def test_the_tuned_file_is_within_tolerance(device, tuned, judged):
    before, bundle = tuned
    (after,) = bundle.artifacts
    assert after.data != before.data
    assert len(after.data) == len(before.data)
    runtime = choose_runtime(device, after)
    if runtime is None:
        pytest.skip(f"the device has no runtime for .{after.format} files")
    result = judged(bundle, after.name, device, runtime)
    assert result.passed, result.reason
    # The logits, or a saturated softmax could hide a head that was written wrongly.
    assert result.parity is not None
    assert result.parity.logits is not None


def test_the_old_tflite_runtime_computes_the_tuned_file_too(tflite_runtime_device, tuned, judged):
    _, bundle = tuned
    (after,) = bundle.artifacts
    runtime = choose_runtime(tflite_runtime_device, after)
    if runtime is None:
        pytest.skip(f"{tflite_runtime_device.name} has no runtime for .{after.format} files")
    result = judged(bundle, after.name, tflite_runtime_device, runtime)
    assert result.passed, result.reason


def test_the_golden_samples_of_the_old_head_do_not_pass(tuned, bundle_path):
    """The suite would be worth nothing if a file with another head passed it."""
    _, bundle = tuned
    (after,) = bundle.artifacts
    old = read_bundle(bundle_path)
    mixed = type(old)(bundle.manifest, bundle.artifacts, old.golden)
    here = LocalDevice()
    try:
        runtime = choose_runtime(here, after)
        assert runtime is not None
        assert not judge(mixed, after.name, here, runtime).passed
    finally:
        here.close()
