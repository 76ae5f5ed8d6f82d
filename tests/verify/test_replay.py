import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import edge_cnn
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import (
    BundleError,
    DataError,
    DeviceFailedError,
    DeviceUnavailableError,
    InputError,
    ModelError,
    RuntimeUnavailableError,
    ToleranceError,
)
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.verify import replay as replay_module
from edge_cnn.verify.replay import judge, replay, verify
from edge_cnn.verify.replay_timing import MAX_RUNS, MIN_RUNS
from edge_cnn.verify.verify_result import VerifyReport


@pytest.fixture
def judge_second(fake_bundle, fakes):
    """Judge the second artifact when its graph is `function`."""

    def judge_function(function, bundle=fake_bundle, **options):
        graph = function if isinstance(function, Exception) else fakes.Runtime(function, **options)
        return judge(bundle, "model-second.tflite", fakes.Device({"model-second.tflite": graph}), "litert")

    return judge_function


def test_the_hosts_own_graph_passes_bit_for_bit(judge_second):
    result = judge_second(lambda codes: codes.reshape(-1, 10))
    assert result.passed
    assert result.reason == "outputs bit for bit those of the host"
    assert result.parity.top1_agreement == result.parity.host_accuracy == result.parity.device_accuracy == 1
    assert result.parity.samples == 64


def test_samples_go_in_small_batches_and_come_back_in_order(judge_second):
    sizes = []

    def graph(codes):
        sizes.append(len(codes))
        return codes.reshape(-1, 10)

    assert judge_second(graph).passed
    assert sizes == [32, 32]


def test_the_verdict_comes_from_the_tolerance_of_the_kernels_that_ran(judge_second):
    def off_by_one(codes):
        return codes.reshape(-1, 10) + (np.arange(10) % 2).astype(np.int8)

    assert judge_second(off_by_one, family="xnnpack").passed
    exact = judge_second(off_by_one, family="litert-ref")
    assert not exact.passed
    assert exact.kernels == "litert-ref"


def test_kernels_that_the_manifest_does_not_know_fail(judge_second):
    result = judge_second(lambda codes: codes.reshape(-1, 10), family="quantum")
    assert not result.passed
    assert "no tolerance for quantum kernels, only litert-ref, " in result.reason


@pytest.mark.parametrize(
    "error",
    [ModelError("litert refuses it"), DeviceFailedError("model ended with SIGSEGV"), DataError("takes other shapes")],
)
def test_an_artifact_that_does_not_run_fails_with_its_reason(judge_second, error):
    result = judge_second(error)
    assert not result.passed
    assert result.reason == str(error)
    json.dumps(result.to_json(), allow_nan=False)


def test_a_device_that_is_gone_is_no_verdict_about_the_artifact(judge_second):
    with pytest.raises(DeviceUnavailableError):
        judge_second(DeviceUnavailableError("gone"))


def test_outputs_of_another_shape_fail(judge_second):
    result = judge_second(lambda codes: codes.reshape(-1, 10)[:, :9])
    assert "shape (64, 9) on the device, (64, 10)" in result.reason


def test_wrong_preprocessing_in_the_manifest_fails(fake_bundle, judge_second):
    wrong = replace(fake_bundle.manifest.preprocessing, mean=(127.5,), std=(127.5,))
    bundle = Bundle(replace(fake_bundle.manifest, preprocessing=wrong), fake_bundle.artifacts, fake_bundle.golden)
    assert not judge_second(lambda codes: codes.reshape(-1, 10), bundle).passed


def test_golden_labels_in_another_order_fail(fake_bundle, judge_second):
    golden = replace(fake_bundle.golden, labels=(fake_bundle.golden.labels + 1) % 10)
    result = judge_second(
        lambda codes: codes.reshape(-1, 10), Bundle(fake_bundle.manifest, fake_bundle.artifacts, golden)
    )
    assert not result.passed
    assert "golden labels do not fit" in result.reason


def test_replay_alone_gives_numbers_without_a_verdict(fake_bundle, fakes):
    device = fakes.Device({"model.tflite": fakes.Runtime(lambda codes: codes.reshape(-1, 10) + np.int8(2))})
    report = replay(fake_bundle, "model.tflite", device)
    assert report.outputs.max_lsb == 2
    assert report.outputs.histogram == {2: 640}
    assert report.logits is None


def test_replay_needs_a_runtime_and_golden_outputs(fake_bundle, fakes):
    with pytest.raises(RuntimeUnavailableError):
        replay(fake_bundle, "model.tflite", fakes.Device({}, formats=()))
    device = fakes.Device({"model.tflite": fakes.Runtime(fakes.graph)})
    with pytest.raises(BundleError, match="golden outputs"):
        replay(Bundle(fake_bundle.manifest, fake_bundle.artifacts), "model.tflite", device)
    with pytest.raises(BundleError, match="no artifact"):
        replay(fake_bundle, "model-third.tflite", device)


@pytest.fixture
def written(fake_bundle, tmp_path):
    path = tmp_path / "fake.edgecnn"
    fake_bundle.write(path)
    return path


@pytest.fixture
def on_fakes(monkeypatch):
    """Let `verify` find these devices by name."""

    def use(**devices):
        for name, device in devices.items():
            device.name = name
        monkeypatch.setattr(replay_module, "parse_device", lambda name, **_: devices[name])

    return use


def test_verify_runs_every_artifact_on_every_device(written, fakes, on_fakes):
    good = fakes.Runtime(fakes.graph)
    bad = fakes.Runtime(lambda codes: codes.reshape(-1, 10)[:, ::-1])
    first = fakes.Device({"model.tflite": good, "model-second.tflite": good})
    second = fakes.Device({"model.tflite": ModelError("refused"), "model-second.tflite": bad})
    on_fakes(first=first, second=second)
    seen = []
    report = verify(written, ("first", "second", "first"), on_result=seen.append)
    assert [(r.artifact, r.device, r.passed) for r in report.results] == [
        ("model.tflite", "first", True),
        ("model-second.tflite", "first", True),
        ("model.tflite", "second", False),
        ("model-second.tflite", "second", False),
    ]
    assert tuple(seen) == report.results
    assert not report.passed
    with pytest.raises(ToleranceError, match=r"model\.tflite on second with litert: refused \(and 1 more\)") as error:
        report.check()
    assert error.value.exit_status == 1
    assert first.opened[-1] == second.opened[-1] == "closed"


def test_a_report_that_passed_checks_silently():
    assert VerifyReport("x", ()).check() is None


def test_a_device_that_runs_nothing_is_told_before_anything_runs(written, fakes, on_fakes):
    first = fakes.Device({"model.tflite": fakes.Runtime(fakes.graph)})
    on_fakes(first=first, second=fakes.Device({}, formats=("onnx",)))
    with pytest.raises(RuntimeUnavailableError, match=r"'second' can run none of model\.tflite, model-second\.tflite"):
        verify(written, ("first", "second"))
    assert first.opened == ["closed"]


def test_a_device_that_goes_away_midway_costs_its_own_answers_only(written, fakes, on_fakes):
    good = fakes.Runtime(fakes.graph)
    broken = fakes.Device({"model.tflite": good, "model-second.tflite": DeviceUnavailableError("cable pulled")})
    gone = fakes.Device(dict.fromkeys(("model.tflite", "model-second.tflite"), DeviceUnavailableError("gone")))
    fine = fakes.Device({"model.tflite": good, "model-second.tflite": good})
    on_fakes(broken=broken, gone=gone, fine=fine)
    report = verify(written, ("broken", "gone", "fine"))
    assert [(r.artifact, r.device, r.passed) for r in report.results] == [
        ("model.tflite", "broken", True),
        ("model.tflite", "fine", True),
        ("model-second.tflite", "fine", True),
    ]
    assert [(item.artifact, item.device, item.reason) for item in report.lost] == [
        ("model-second.tflite", "broken", "cable pulled"),
        ("model.tflite", "gone", "gone"),
        ("model-second.tflite", "gone", "gone"),
    ]
    # It is not asked again, for each attempt may wait for minutes.
    assert gone.opened == [("model.tflite", "litert"), "closed"]
    assert not report.passed
    assert report.exit_status == 3
    with pytest.raises(DeviceUnavailableError, match=r"model-second\.tflite has no answer: cable pulled"):
        report.check()
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["passed"] is False
    assert document["lost"][0] == {"artifact": "model-second.tflite", "device": "broken", "reason": "cable pulled"}


def test_a_failed_check_counts_more_than_a_lost_device(written, fakes, on_fakes):
    bad = fakes.Runtime(lambda codes: codes.reshape(-1, 10)[:, ::-1])
    on_fakes(device=fakes.Device({"model.tflite": bad, "model-second.tflite": DeviceUnavailableError("gone")}))
    report = verify(written, "device")
    assert report.exit_status == 1
    with pytest.raises(ToleranceError):
        report.check()


def test_a_runtime_that_does_not_take_one_artifact_is_asked_for_the_next(written, fakes, on_fakes):
    good = fakes.Runtime(fakes.graph)
    refusal = RuntimeUnavailableError("the accelerator did not run")
    on_fakes(device=fakes.Device({"model.tflite": refusal, "model-second.tflite": good}))
    report = verify(written, "device")
    assert [(item.artifact, item.reason) for item in report.lost] == [("model.tflite", "the accelerator did not run")]
    assert [r.artifact for r in report.results] == ["model-second.tflite"]


def test_runs_are_timed_when_asked_and_never_on_an_emulator(fake_bundle, fakes):
    graph = fakes.Runtime(fakes.graph)
    for emulated, timed in ((False, False), (True, True), (False, True)):
        device = fakes.Device({"model.tflite": graph}, emulated=emulated)
        result = judge(fake_bundle, "model.tflite", device, "litert", timed=timed)
        assert result.emulated is emulated
        assert bool(result.latencies_us) is (timed and not emulated)
    assert MIN_RUNS <= len(result.latencies_us) <= MAX_RUNS
    assert min(result.latencies_us) > 0


def test_a_slow_graph_is_timed_a_few_times_only(fake_bundle, fakes):
    runs = []

    def slow(codes):
        runs.append(len(codes))
        time.sleep(0.08)
        return fakes.graph(codes)

    result = judge(
        fake_bundle, "model.tflite", fakes.Device({"model.tflite": fakes.Runtime(slow)}), "litert", timed=True
    )
    assert len(result.latencies_us) == MIN_RUNS
    assert min(result.latencies_us) > 80_000


def test_a_bundle_without_golden_samples_cannot_be_verified(fake_bundle, tmp_path):
    path = tmp_path / "bare.edgecnn"
    Bundle(fake_bundle.manifest, fake_bundle.artifacts).write(path)
    with pytest.raises(BundleError, match=r"no golden samples; export it again"):
        verify(path)


def test_golden_samples_of_another_artifact_are_not_enough(fake_bundle, tmp_path):
    golden = fake_bundle.golden
    some = {name: codes for name, codes in golden.outputs.items() if name != "model-second.tflite"}
    path = tmp_path / "some.edgecnn"
    Bundle(fake_bundle.manifest, fake_bundle.artifacts, replace(golden, outputs=some)).write(path)
    with pytest.raises(BundleError, match=r"no golden outputs of model-second\.tflite"):
        verify(path)


def test_no_golden_samples_at_all_are_too_few(fake_bundle, tmp_path):
    golden = fake_bundle.golden
    empty = {name: codes[:0] for name, codes in golden.outputs.items()}
    none = GoldenSamples(golden.inputs[:0], golden.labels[:0], golden.float_outputs[:0], empty)
    path = tmp_path / "empty.edgecnn"
    Bundle(fake_bundle.manifest, fake_bundle.artifacts, none).write(path)
    with pytest.raises(BundleError, match="no golden samples"):
        verify(path)


def test_a_bare_model_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\0\0\0\0TFL3")
    with pytest.raises(InputError, match=r"carries no golden samples.*edge-cnn export"):
        verify(path)


def test_no_file_and_no_device_are_refused(tmp_path, written):
    with pytest.raises(BundleError, match="no bundle at"):
        verify(tmp_path / "none.edgecnn")
    with pytest.raises(InputError, match="no device"):
        verify(written, ())


def test_a_file_that_the_runtime_refuses_is_a_failed_check_on_this_process(written):
    report = edge_cnn.verify(written, device="local:litert-ref")
    assert [r.passed for r in report.results] == [False, False]
    assert "refuses model.tflite" in report.results[0].reason


@pytest.mark.parametrize(
    "code",
    [
        "import edge_cnn; edge_cnn.verify('none.edgecnn')",
        "from edge_cnn import verify; verify('none.edgecnn')",
        "import edge_cnn.verify.parity, edge_cnn; edge_cnn.verify('none.edgecnn')",
        "import edge_cnn; edge_cnn.verify; import edge_cnn.verify.parity; edge_cnn.verify.parity.compare; "
        "edge_cnn.verify(path='none.edgecnn', device='local')",
        "from edge_cnn.verify.replay import verify; verify('none.edgecnn')",
        "from edge_cnn import verify; import edge_cnn.verify.devices.table as d; d.FORMS; verify('none.edgecnn')",
    ],
)
def test_verify_is_a_package_and_a_function_in_any_order_of_imports(code):
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert child.stderr.strip().endswith("BundleError: no bundle at none.edgecnn; make one with 'edge-cnn export'")
