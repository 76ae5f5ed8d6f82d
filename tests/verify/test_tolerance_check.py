from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.protocols import Kernels
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.tolerance import Tolerance, default_tolerances
from edge_cnn.verify.paired_answers import paired_answers
from edge_cnn.verify.parity import ParityReport, accuracy, compare, output_hash, top1_agreement
from edge_cnn.verify.tolerance_check import check, golden_fault, spec_fault

GRID = QuantizationParams((0.1,), (0,))
EXACT = default_tolerances("tflite", quantized=True, recorded_by="litert-ref")["litert-ref"]
# Tighter than the default, so that small arrays can break each bound by itself.
ACROSS = replace(
    default_tolerances("tflite", quantized=True, recorded_by="litert-ref")["xnnpack"],
    max_lsb=3,
    min_top1_agreement=0.98,
    max_accuracy_drop=0.01,
)
FLOAT = default_tolerances("tflite", quantized=False, recorded_by="litert-ref")["xnnpack"]


def report(host, device, labels=None, *, logits=True, grid=GRID):
    labels = host.argmax(axis=1) if labels is None else labels
    difference = compare("logits" if logits else "outputs", host, device, grid, grid)
    outputs = compare("outputs", host, device, grid, grid)
    return ParityReport(
        "model.tflite",
        "local",
        "litert",
        "2",
        Kernels("xnnpack", {}),
        len(host),
        outputs,
        difference if logits else None,
        top1_agreement(host, device),
        accuracy(host, labels),
        accuracy(device, labels),
        paired_answers(labels, host, device),
        output_hash(device),
    )


def codes(seed=0, count=100):
    """Codes with clear answers: the best class is 20 above the others."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-60, 60, (count, 10)).astype(np.int8)
    values[np.arange(count), np.arange(count) % 10] = 80
    return values


def nudged(values, by, share=0.1, seed=1):
    """A share of the values moved by `by` to either side."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], values.shape)
    return (values + by * signs * (rng.random(values.shape) < share)).astype(np.int8)


def test_equal_codes_pass_every_tolerance():
    for tolerance in (EXACT, ACROSS):
        verdict = check(report(codes(), codes()), tolerance)
        assert verdict.passed
        assert "bit for bit" in verdict.reason


def test_one_lsb_breaks_exactness_only():
    compared = report(codes(), nudged(codes(), 1))
    assert not check(compared, EXACT).passed
    verdict = check(compared, ACROSS)
    assert verdict.passed
    assert "within 1 LSB" in verdict.reason


@pytest.mark.parametrize(("lsb", "passed"), [(3, True), (4, False)])
def test_the_bound_in_lsb_is_the_manifests(lsb, passed):
    verdict = check(report(codes(), nudged(codes(), lsb, share=0.01)), ACROSS)
    assert verdict.passed is passed
    assert f"{lsb} LSB" in verdict.reason


def test_a_small_shift_of_everything_is_not_rounding():
    shifted = (codes() + 1).astype(np.int8)
    verdict = check(report(codes(), shifted), ACROSS)
    assert not verdict.passed
    assert "+1.00 LSB" in verdict.reason
    assert "zero point" in verdict.reason


def test_a_scale_off_by_two_percent_is_not_rounding_though_no_code_moves_far():
    device = np.rint(codes() * 1.02).astype(np.int8)
    compared = report(codes(), device)
    assert compared.logits.max_lsb <= 3
    verdict = check(compared, ACROSS)
    assert not verdict.passed
    assert "1.0" in verdict.reason
    assert "scale" in verdict.reason


def test_a_handful_of_samples_is_not_held_to_what_only_many_can_show():
    host = codes(count=1)
    device = host.copy()
    device[0, :6] += 1
    assert abs(compare("logits", host, device, GRID, GRID).mean_lsb) > 0.5
    assert check(report(host, device), ACROSS).passed


def test_logits_of_zero_have_no_slope():
    zeros = np.zeros((2, 10), np.int8)
    assert check(report(zeros, zeros), ACROSS).passed


def test_probabilities_have_a_wider_bound_than_logits():
    device = nudged(codes(), 6, share=0.01)
    assert not check(report(codes(), device), ACROSS).passed
    assert check(report(codes(), device, logits=False), ACROSS).passed
    assert not check(report(codes(), nudged(codes(), 13, share=0.01), logits=False), ACROSS).passed
    assert not check(report(codes(), nudged(codes(), 1), logits=False), EXACT).passed


def test_exact_kernels_are_exact_in_the_probabilities_too():
    parity = report(codes(), codes())
    parity = replace(parity, outputs=compare("outputs", codes(), nudged(codes(), 1), GRID, GRID))
    verdict = check(parity, EXACT)
    assert not verdict.passed
    assert verdict.reason.startswith("outputs differ by up to 1 LSB")


def test_too_many_other_answers_fail_though_the_codes_are_near():
    host = codes()
    host[:5, 0] = 80
    host[:5, 1] = 79
    device = host.copy()
    device[:5, :2] = device[:5, 1::-1]
    verdict = check(report(host, device), ACROSS)
    assert not verdict.passed
    assert "95.0% of the samples" in verdict.reason


def test_lost_accuracy_fails_though_most_answers_agree():
    tolerance = Tolerance(3, None, 0.9, 0.01, "test")
    host = codes()
    device = host.copy()
    host[:2, 0], host[:2, 1] = 80, 79
    device[:2, 0], device[:2, 1] = 79, 80
    verdict = check(report(host, device, np.r_[0, 0, host.argmax(1)[2:]]), tolerance)
    assert not verdict.passed
    assert "accuracy 98.0% on the device, 100.0% on the host" in verdict.reason


def test_a_drop_of_exactly_the_bound_passes():
    tolerance = Tolerance(3, None, 0.9, 0.1, "test")
    host = np.eye(10, dtype=np.int8)[:, :]
    device = host.copy()
    device[0] = host[1]
    assert check(report(host, device), tolerance).passed


def test_a_poor_model_is_held_to_a_share_of_its_accuracy():
    # 10 of 100 right on the host, 8 on the device: 2 points less, which is a fifth of all it could.
    host = codes()
    labels = np.where(np.arange(100) < 10, host.argmax(1), (host.argmax(1) + 1) % 10)
    device = host.copy()
    host[:2, 0], host[:2, 1] = 80, 79
    device[:2, 0], device[:2, 1] = 79, 80
    labels[:2] = 0
    allowed = Tolerance(3, None, 0.9, 0.02, "test")
    assert check(report(host, device, labels), allowed).passed
    verdict = check(report(host, device, labels), replace(allowed, min_accuracy_share=0.95))
    assert not verdict.passed
    assert verdict.reason == (
        "accuracy 8.0% on the device, 10.0% on the host (2 right answers lost, 0 won, McNemar p = 0.5), "
        "95.0% of the host's wanted"
    )
    assert check(report(host, device, labels), replace(allowed, min_accuracy_share=0.8)).passed


def test_floats_within_rounding_pass_and_beyond_fail():
    host = np.random.default_rng(0).random((50, 10)).astype(np.float32)
    near, far = report(host, host + np.float32(5e-5), grid=None), report(host, host + np.float32(3e-4), grid=None)
    assert check(near, FLOAT).passed
    verdict = check(far, FLOAT)
    assert not verdict.passed
    assert "3.00e-04" in verdict.reason


def test_the_bound_of_float_logits_grows_with_the_logits():
    host = 50 * np.random.default_rng(0).random((50, 10)).astype(np.float32)
    parity = report(host, host + np.float32(1e-3), grid=None)
    probabilities = compare("outputs", host / 50, host / 50)
    assert check(replace(parity, outputs=probabilities), FLOAT).passed
    assert not check(replace(parity, outputs=compare("outputs", host / 50, host / 50 + 1e-3)), FLOAT).passed


def test_floats_where_codes_were_wanted_fail():
    host = np.zeros((2, 10), np.float32)
    verdict = check(report(host, host, grid=None), ACROSS)
    assert not verdict.passed
    assert "LSB" in verdict.reason


def test_nan_fails_whatever_the_rest_says():
    host = np.full((2, 10), 0.1, np.float32)
    device = host.copy()
    device[1, 9] = np.nan
    verdict = check(report(host, device, grid=None), FLOAT)
    assert not verdict.passed
    assert verdict.reason == "1 values are NaN or infinite on the device"


@pytest.mark.parametrize(
    ("expected", "got", "samples", "fits"),
    [
        (0.98, 0.97, 256, True),
        (0.98, 0.10, 256, False),
        (0.98, 0.90, 256, False),
        (1.0, 1.0, 256, True),
        (1.0, 0.99, 256, True),
        (1.0, 0.5, 8, True),
        (1.0, 0.1, 8, False),
        (0.5, 0.9, 256, True),
        (None, 0.0, 256, True),
        (0.9, 0.0, 0, True),
    ],
)
def test_golden_labels_must_fit_the_accuracy_in_the_manifest(fake_bundle, expected, got, samples, fits):
    entry = replace(fake_bundle.manifest.artifacts[0], host_accuracy=expected)
    fault = golden_fault(entry, got, samples)
    assert (fault is None) is fits


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dtype": "uint8"}, "uint8 on the device, int8 in the manifest"),
        ({"quantization": QuantizationParams((0.102,), (5,))}, "scale 0.102"),
        ({"quantization": QuantizationParams((0.1,), (6,))}, "zero point 6"),
        ({"quantization": None}, "none on the device"),
    ],
)
def test_a_file_that_is_read_otherwise_than_the_manifest_says_is_named(fake_bundle, fakes, change, words):
    runtime = fakes.Runtime(fakes.graph, outputs=(replace(fakes.output, **change),))
    assert words in spec_fault(fake_bundle.manifest.artifacts[0], runtime)


def test_scales_may_differ_by_the_rounding_of_float32(fake_bundle, fakes):
    grid = QuantizationParams((float(np.float32(0.1)),), (5,))
    runtime = fakes.Runtime(fakes.graph, outputs=(replace(fakes.output, quantization=grid),))
    assert spec_fault(fake_bundle.manifest.artifacts[0], runtime) is None


def test_bit_for_bit_is_said_of_logits_and_outputs_that_are_equal_only():
    probabilities = np.full((100, 10), 0.1, np.float32)
    parity = replace(report(codes(), codes()), outputs=compare("outputs", probabilities, probabilities))
    assert check(parity, ACROSS).reason == "logits bit for bit those of the host"
    near = compare("outputs", probabilities, probabilities + np.float32(1e-3))
    verdict = check(replace(parity, outputs=near), ACROSS)
    assert verdict.passed
    assert verdict.reason == "logits bit for bit those of the host, outputs within 1.0e-03"
    assert not check(replace(parity, outputs=near), EXACT).passed


@pytest.mark.parametrize(("share", "passed"), [(0.4, True), (1.0, True), (1.2, False)])
def test_outputs_may_differ_as_far_as_their_logits(share, passed):
    parity = report(codes(), nudged(codes(), 3))
    host = np.full((100, 10), 0.5, np.float32)
    device = host.copy()
    device[0, 0] += np.float32(share * (parity.logits.max_abs + 4 / 256) - 1e-5)
    assert check(replace(parity, outputs=compare("outputs", host, device)), ACROSS).passed is passed


def test_outputs_that_are_all_off_fail_though_one_logit_alone_would_explain_each():
    device = codes()
    device[0, 0] += 3
    parity = report(codes(), device)
    host = np.full((100, 10), 0.5, np.float32)
    verdict = check(replace(parity, outputs=compare("outputs", host, host + np.float32(0.1))), ACROSS)
    assert not verdict.passed
    assert "on average" in verdict.reason


def test_a_softmax_changes_by_less_than_the_bound_for_any_logits():
    # The bound rests on the Lipschitz constant 1/2; random and extreme logits look for a counterexample.
    rng = np.random.default_rng(3)
    for scale in (0.1, 1.0, 10.0):
        z = rng.normal(0, scale, (2000, 10))
        moved = z + rng.choice([-1, 0, 1], z.shape) * rng.random((2000, 1)) * scale
        p, q = (np.exp(a - a.max(1, keepdims=True)) for a in (z, moved))
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        assert (np.abs(p - q).max(1) <= np.abs(z - moved).max(1) / 2 + 1e-12).all()
        assert (np.abs(p - q).sum(1) <= np.abs(z - moved).sum(1) / 2 + 1e-12).all()
