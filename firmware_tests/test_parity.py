"""What we ship must compute on the device what it computed on the host."""

import pytest

from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.device.runtimes.table import RUNTIMES
from edge_cnn.verify.devices.device import choose_runtime


def artifacts_for(device, bundle):
    """(artifact name, runtime) of every artifact that the device has a runtime for."""
    pairs = [(a.name, choose_runtime(device, a)) for a in bundle.artifacts]
    return [(name, runtime) for name, runtime in pairs if runtime is not None]


def test_the_device_runs_at_least_one_artifact(device, firmware):
    assert artifacts_for(device, firmware)


def test_every_artifact_is_within_tolerance(device, firmware, judged):
    results = [judged(firmware, name, device, runtime) for name, runtime in artifacts_for(device, firmware)]
    failed = [f"{r.artifact} with {r.runtime}: {r.reason}" for r in results if not r.passed]
    assert not failed, "\n".join(failed)


def test_every_installed_runtime_is_within_tolerance(device, firmware, judged):
    failed = []
    for artifact in firmware.artifacts:
        for runtime in device.runtimes(artifact.format):
            result = judged(firmware, artifact.name, device, runtime)
            if not result.passed:
                failed.append(f"{result.artifact} with {runtime}: {result.reason}")
    assert not failed, "\n".join(failed)


def test_the_reference_kernels_give_the_recorded_bits(device, firmware, judged):
    if "litert-ref" not in device.runtimes(TFLITE):
        pytest.skip("the device has no LiteRT, whose reference kernels record the golden outputs")
    quantized = [e for e in firmware.manifest.artifacts if e.format == TFLITE and e.output.dtype == "int8"]
    assert quantized
    for entry in quantized:
        report = judged(firmware, entry.name, device, "litert-ref").parity
        assert report is not None
        assert report.outputs.max_lsb == 0
        assert report.logits is None or report.logits.max_lsb == 0


def test_the_device_is_as_accurate_as_the_manifest_promises(device, firmware, judged):
    for name, runtime in artifacts_for(device, firmware):
        expected = firmware.entry(name).host_accuracy
        parity = judged(firmware, name, device, runtime).parity
        assert parity is not None
        # The golden samples are part of the data on which the manifest's accuracy was measured.
        if expected is not None:
            assert parity.device_accuracy > expected - 0.05


def test_the_default_environment_has_runtimes_of_both_formats(device, request):
    if request.config.getoption("edge_devices") or not device.name.startswith("venv:"):
        pytest.skip("other devices and those of one's own may have one format only")
    assert device.runtimes(TFLITE)
    assert device.runtimes(ONNX)


def test_the_old_tflite_runtime_computes_the_same(tflite_runtime_device, firmware, judged):
    results = [
        judged(firmware, name, tflite_runtime_device, runtime)
        for name, runtime in artifacts_for(tflite_runtime_device, firmware)
    ]
    if not results:
        pytest.skip("the bundle holds no .tflite file")
    assert {r.runtime for r in results} == {"tflite-runtime"}
    failed = [f"{r.artifact}: {r.reason}" for r in results if not r.passed]
    assert not failed, "\n".join(failed)


def test_runtimes_of_the_table_are_the_only_ones_used(device, firmware):
    assert {runtime for _, runtime in artifacts_for(device, firmware)} <= set(RUNTIMES)
