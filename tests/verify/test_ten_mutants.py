"""Ten ways to be wrong, each of which the gate must catch on a ResNet-8 as int8 TFLite and as QDQ ONNX."""

from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.device.head.surgery import has_softmax, split_head
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.verify import replay as replay_module
from edge_cnn.verify.devices.table import parse_device
from edge_cnn.verify.replay import judge, verify

pytestmark = pytest.mark.slow  # trains a ResNet-8 for 40 s

RUNS = [
    pytest.param(("model.tflite", "litert"), id="tflite-xnnpack"),
    pytest.param(("model.tflite", "litert-ref"), id="tflite-reference"),
    pytest.param(("model.onnx", "onnxruntime"), id="onnx"),
]
FEW = 16
"""Golden samples where many mutants are tried on the reference kernels, which take 15 ms for each."""

SOME = 64
"""Golden samples of a single mutant there; the other kernels get all 256, as slight shifts need many to show."""


@pytest.fixture(params=RUNS)
def run(request):
    """(artifact, RUNTIME)"""
    return request.param


@pytest.fixture
def verdict(resnet8, in_process):
    """Judge an artifact of a bundle; `damage` by format makes another file of it on the way to the runtime."""

    def verdict_of(run, damage=None, given=resnet8):
        name, runtime = run
        if runtime == "litert-ref":
            given = first_samples(given, SOME)
        suffix = name.rpartition(".")[2]
        device = in_process(damage[suffix]) if damage else in_process()
        return judge(given, name, device, runtime)

    return verdict_of


@pytest.fixture
def seen_as(verdict, monkeypatch):
    """Judge an artifact when the device sees each image changed."""

    def verdict_of(run, change):
        encode = InputEncoder.encode
        monkeypatch.setattr(InputEncoder, "encode", lambda self, images: encode(self, change(images)))
        return verdict(run)

    return verdict_of


def first_samples(bundle, count):
    golden = bundle.golden
    cut = replace(
        golden,
        inputs=golden.inputs[:count],
        labels=golden.labels[:count],
        float_outputs=golden.float_outputs[:count],
        outputs={name: rows[:count] for name, rows in golden.outputs.items()},
        logits={name: rows[:count] for name, rows in golden.logits.items()},
    )
    return Bundle(bundle.manifest, bundle.artifacts, cut)


def test_twenty_clean_repeats_raise_no_alarm(verdict, run):
    repeats = 2 if run[1] == "litert-ref" else 20
    results = [verdict(run) for _ in range(repeats)]
    assert all(r.passed for r in results), results[0].reason
    assert len({r.parity.output_sha256 for r in results}) == 1


def test_twenty_clean_repeats_of_the_reference_kernels_raise_no_alarm(verdict, resnet8):
    few = first_samples(resnet8, FEW)
    assert all(verdict(("model.tflite", "litert-ref"), given=few).passed for _ in range(20))


@pytest.mark.parametrize("layer", [0, 4, -1])
def test_a_flipped_weight_bit_that_changes_any_output_of_exact_kernels_is_caught(verdict, resnet8, edits, layer):
    """Every bit of a weight, down to the last; only one that changes no output at all may pass."""
    few = first_samples(resnet8, FEW)
    run = ("model.tflite", "litert-ref")
    clean = verdict(run, given=few).parity.output_sha256
    mutants = [verdict(run, edits.flip_bit(layer, 0.4, bit), few) for bit in range(8)]
    changed = [m.parity.output_sha256 != clean for m in mutants]
    assert [not m.passed for m in mutants] == changed
    # Wrong is the sign at least.
    assert changed[7]


@pytest.fixture
def against_baseline(resnet8, in_process, monkeypatch, tmp_path):
    """Verify one artifact on a few samples against a baseline that a clean run of it wrote."""

    def begin(run):
        name, runtime = run
        few = first_samples(resnet8, FEW)
        path, baseline = tmp_path / "model.edgecnn", tmp_path / "baseline.json"
        Bundle(few.manifest.with_artifacts(few.entry(name)), (few.artifact(name),), few.golden).write(path)

        def verify_again(damage=None, **options):
            device = in_process(damage[name.rpartition(".")[2]]) if damage else in_process()
            device.wanted_runtime = runtime
            monkeypatch.setattr(replay_module, "parse_device", lambda *_, **__: device)
            return verify(path, baseline=baseline, **options)

        assert verify_again(update_baseline=True).passed
        assert verify_again().passed
        return verify_again

    return begin


@pytest.mark.parametrize("run", [RUNS[0], RUNS[2]], indirect=True)
@pytest.mark.parametrize("layer", [0, 4, -1])
def test_a_flipped_weight_bit_is_caught_by_the_baseline_where_a_bound_in_lsb_hides_it(
    against_baseline, edits, run, layer
):
    """Other kernels may round otherwise, so one low bit hides in their bound; but the same kernels gave other bits."""
    verify_again = against_baseline(run)
    clean = verify_again().results[0].parity.output_sha256
    for bit in range(8):
        report = verify_again(edits.flip_bit(layer, 0.4, bit))
        same_bits = report.results[0].parity.output_sha256 == clean
        assert report.passed is same_bits
    # The last one is the sign.
    assert not same_bits


def test_a_swapped_channel_order_is_caught(seen_as, run):
    assert not seen_as(run, lambda images: images[..., ::-1]).passed


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_scale_off_by_two_percent_is_caught(verdict, edits, run, factor):
    assert not verdict(run, edits.scale_logits_by(factor)).passed


@pytest.mark.parametrize("which", [pytest.param(0, id="input"), pytest.param(-1, id="logits")])
def test_a_zero_point_off_by_one_is_caught(verdict, edits, run, which):
    assert not verdict(run, edits.move_zero_point(which)).passed


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        pytest.param(127.5, 127.5, id="-1..1"),
        pytest.param(0.0, 1.0, id="0..255"),
        pytest.param(123.7, 58.4, id="ImageNet"),
    ],
)
def test_wrong_preprocessing_is_caught(verdict, resnet8, run, mean, std):
    wrong = replace(resnet8.manifest.preprocessing, mean=(mean,), std=(std,))
    given = Bundle(replace(resnet8.manifest, preprocessing=wrong), resnet8.artifacts, resnet8.golden)
    assert not verdict(run, given=given).passed


def test_preprocessing_off_by_two_percent_is_caught_by_the_kernels_of_the_recording(verdict, resnet8):
    wrong = replace(resnet8.manifest.preprocessing, std=(250.0,))
    given = Bundle(replace(resnet8.manifest, preprocessing=wrong), resnet8.artifacts, resnet8.golden)
    assert not verdict(("model.onnx", "onnxruntime"), given=given).passed
    assert not verdict(("model.tflite", "litert-ref"), given=given).passed


def test_inputs_off_by_two_percent_are_caught_by_the_baseline_where_rounding_hides_them(against_baseline, monkeypatch):
    """XNNPACK's rounding moves the logits about as far, so that this mutant is at the edge of any honest bound."""
    verify_again = against_baseline(("model.tflite", "litert"))
    encode = InputEncoder.encode

    def brighter(self, images):
        return encode(self, np.minimum(np.rint(images * 1.02), 255).astype(np.uint8))

    monkeypatch.setattr(InputEncoder, "encode", brighter)
    report = verify_again()
    assert [c.status for c in report.changes] == ["regressed"]


def test_channels_first_read_as_channels_last_is_caught(seen_as, run):
    assert not seen_as(run, lambda images: images.transpose(0, 3, 1, 2).reshape(images.shape)).passed


def test_channels_last_read_as_channels_first_is_caught(seen_as, run):
    def mix(images):
        count, height, width, channels = images.shape
        return images.reshape(count, channels, height, width).transpose(0, 2, 3, 1)

    assert not seen_as(run, mix).passed


def test_dropped_batch_normalization_is_caught(verdict, resnet8_folder, run):
    dropped = read_bundle(resnet8_folder / "dropped.edgecnn")
    result = verdict(run, dict.fromkeys(("tflite", "onnx"), lambda artifact: counterpart(dropped, artifact)))
    assert not result.passed


def counterpart(bundle, artifact):
    """The artifact of the same name in another bundle, or its view of the logits where that is asked for."""
    # The whole graph ends with a softmax, its view of the logits does not.
    other = bundle.artifact(f"model.{artifact.format}")
    return other if has_softmax(artifact) else split_head(other).logits_view


def test_golden_labels_in_the_wrong_order_are_caught(verdict, resnet8, run):
    golden = replace(resnet8.golden, labels=9 - resnet8.golden.labels)
    result = verdict(run, given=Bundle(resnet8.manifest, resnet8.artifacts, golden))
    assert not result.passed
    assert "golden labels do not fit" in result.reason


def test_class_names_in_the_wrong_order_are_caught(verdict, resnet8, run):
    """Names by themselves change no number; but the file carries its own."""
    manifest = replace(resnet8.manifest, labels=resnet8.manifest.labels[::-1])
    result = verdict(run, given=Bundle(manifest, resnet8.artifacts, resnet8.golden))
    assert not result.passed
    assert result.reason.startswith("class 0 is '0' in the file's metadata and '9' in the manifest")


def test_two_classes_swapped_in_the_head_are_caught(verdict, edits, run):
    result = verdict(run, edits.swap_classes(3, 8))
    assert not result.passed
    assert result.parity.top1_agreement < 0.95


@pytest.mark.parametrize("level", [0, 255])
def test_a_saturated_input_is_caught(seen_as, run, level):
    assert not seen_as(run, lambda images: np.full_like(images, level)).passed


def test_an_overexposed_input_is_caught(seen_as, run):
    assert not seen_as(run, lambda images: np.minimum(images.astype(int) * 2, 255).astype(np.uint8)).passed


def test_an_honest_device_beside_the_mutants_passes(resnet8_folder):
    """Not in this process: the mutants were caught for what they are, not for how they were run."""
    assert parse_device("local").python
    report = verify(resnet8_folder / "model.edgecnn")
    assert report.passed, [r.reason for r in report.results]
