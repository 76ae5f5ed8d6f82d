"""A parity report against its tolerance: passed or not, and why in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_cnn.core.manifest import ArtifactEntry
from edge_cnn.core.protocols import Runtime
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.core.tolerance import Tolerance
from edge_cnn.verify.parity import Difference, ParityReport

MAX_MEAN_LSB = 0.5
"""Rounding errs to both sides, so the mean difference in codes stays near 0; a wrong zero point moves all one way."""

MAX_GAIN_ERROR = 0.005
"""Likewise large values and small ones err alike, so the slope stays near 1: within 0.002 for XNNPACK against the
reference kernels on the MLPerf Tiny classifiers. A scale off by 2% moves it by 0.02, though no code by more than 3."""

SIGMAS = 4.0
"""Standard errors that mean and slope may stray further, since a handful of golden samples says little about them."""

PROBABILITY_FACTOR = 4
"""Steps of a probability per step of a logit, where only probabilities can be compared: a softmax amplifies."""

FLOAT_STEP = 1 / 256
"""Real value of a step of float outputs behind integer logits: what is dequantized there is an 8-bit softmax."""

MAX_OUTPUT_STEPS, MEAN_OUTPUT_STEPS = 4, 1
"""Steps by which outputs may differ at most and on average beyond what their logits explain: each kernel rounds its
own exponentials."""

EXACT_FLOATS = 1e-4
"""Largest difference of float outputs behind logits that must be exact: the exponential of another C library."""

SHARE_SLACK = 1e-9

GOLDEN_SIGMAS = 5.0
"""Standard deviations by which the accuracy on the golden samples may lie below the manifest's."""

SCALE_SLACK = 1e-6
"""Relative; scales are float32, and JSON keeps more digits than that."""


@dataclass(frozen=True)
class Verdict:
    """Whether a device may be trusted with an artifact.

    Attributes:
        passed: all bounds hold.
        reason: which bound broke, or what held, for a person.
    """

    passed: bool
    reason: str


def check(report: ParityReport, tolerance: Tolerance) -> Verdict:
    """Judge a report; the first broken bound is named, the gravest one first."""
    compared = report.compared
    if compared.non_finite or report.outputs.non_finite:
        count = max(compared.non_finite, report.outputs.non_finite)
        return Verdict(False, f"{count} values are NaN or infinite on the device")
    broken = [*_value_faults(report, tolerance), *_answer_faults(report, tolerance)]
    if broken:
        return Verdict(False, "; ".join(broken))
    if compared.max_lsb == 0:
        near = "" if report.outputs.max_abs == 0 else f", outputs within {report.outputs.max_abs:.1e}"
        return Verdict(True, f"{compared.tensor} bit for bit those of the host{near}")
    if compared.max_lsb is not None and tolerance.max_lsb is not None:
        limit = lsb_limit(report, tolerance)
        return Verdict(True, f"{compared.tensor} within {compared.max_lsb} LSB of the host's, {limit} allowed")
    return Verdict(
        True,
        f"{compared.tensor} within {compared.max_abs:.1e} of the host's, {_abs_limit(report, tolerance):.1e} allowed",
    )


def lsb_limit(report: ParityReport, tolerance: Tolerance) -> int:
    """Largest difference in codes that `tolerance` allows for the tensor that was compared."""
    assert tolerance.max_lsb is not None, "asked for quantized artifacts only"
    return tolerance.max_lsb * (1 if report.logits is not None else PROBABILITY_FACTOR)


def _abs_limit(report: ParityReport, tolerance: Tolerance) -> float:
    assert tolerance.max_abs is not None, "asked for float artifacts only"
    # Float rounding is relative to the values; probabilities are at most 1, logits are not.
    return tolerance.max_abs * max(1.0, report.compared.peak)


def _value_faults(report: ParityReport, tolerance: Tolerance) -> list[str]:
    compared, faults = report.compared, list[str]()
    if tolerance.max_lsb is not None:
        if compared.max_lsb is None:
            return [f"{compared.tensor} are floats on one side, so they cannot be counted in LSB; export again"]
        limit = lsb_limit(report, tolerance)
        if compared.max_lsb > limit:
            faults.append(
                f"{compared.tensor} differ by up to {compared.max_lsb} LSB, {limit} allowed ({tolerance.reason})"
            )
        else:
            faults += _trends(compared)
        if not faults and report.logits is not None:
            faults += _output_faults(report.outputs, report.logits, tolerance)
    if tolerance.max_abs is not None:
        limit = _abs_limit(report, tolerance)
        if compared.max_abs > limit:
            faults.append(
                f"{compared.tensor} differ by up to {compared.max_abs:.2e}, {limit:.1e} allowed ({tolerance.reason})"
            )
        else:
            # A softmax changes by at most half of what its logits change, see `_output_faults`.
            explained = report.logits.max_abs / 2 if report.logits is not None else 0.0
            limit = max(tolerance.max_abs * max(1.0, report.outputs.peak), explained)
            if report.outputs.max_abs > limit:
                faults.append(f"outputs differ by up to {report.outputs.max_abs:.2e}, {limit:.1e} allowed")
    return faults


def _output_faults(outputs: Difference, logits: Difference, tolerance: Tolerance) -> list[str]:
    """Outputs that differ by more than their logits do, so that what stands behind the head is wrong.

    A softmax changes by at most half of what its logits change, in the largest value as in the sum over the classes
    (the rows of its Jacobian p_i (delta_ij - p_j) sum to 2 p_i (1 - p_i) <= 1/2 in absolute value, and it is
    symmetric); a sigmoid by a quarter; a graph without either gives the logits themselves. The bound is that of the
    last one, which none of them exceeds.
    """
    # Exact kernels are exact to the last tensor.
    if tolerance.max_lsb == 0:
        if outputs.max_lsb not in (0, None):
            return [f"outputs differ by up to {outputs.max_lsb} LSB, 0 allowed ({tolerance.reason})"]
        largest = EXACT_FLOATS * max(1.0, outputs.peak)
        mean = largest
    else:
        step = outputs.step or FLOAT_STEP
        largest = logits.max_abs + MAX_OUTPUT_STEPS * step
        mean = logits.mean_abs + MEAN_OUTPUT_STEPS * step
    for name, value, allowed in (("up to", outputs.max_abs, largest), ("on average", outputs.mean_abs, mean)):
        # Written so that nan fails.
        if not value <= allowed:
            return [
                f"outputs differ by {value:.2e} {name}, {allowed:.1e} is what their logits explain; "
                "the operators after the last layer differ"
            ]
    return []


def _trends(compared: Difference) -> list[str]:
    """Errors too small for any single code, which all go one way."""
    allowed = MAX_MEAN_LSB + SIGMAS * compared.mean_lsb_error
    if compared.mean_lsb is not None and abs(compared.mean_lsb) > allowed:
        return [
            f"{compared.tensor} are shifted by {compared.mean_lsb:+.2f} LSB on average, {allowed:.2g} allowed; "
            "a zero point differs"
        ]
    allowed = MAX_GAIN_ERROR + SIGMAS * compared.gain_error
    # Comparisons with nan are false: there is no slope where the host's values are all 0.
    if abs(compared.gain - 1) > allowed:
        return [
            f"{compared.tensor} are {compared.gain:.4f} times the host's on average, 1 within {allowed:.2g} allowed; "
            "a scale or the preprocessing differs"
        ]
    return []


def _answer_faults(report: ParityReport, tolerance: Tolerance) -> list[str]:
    faults: list[str] = []
    if report.top1_agreement < tolerance.min_top1_agreement:
        faults.append(
            f"the same answer for {report.top1_agreement:.1%} of the samples, {tolerance.min_top1_agreement:.1%} wanted"
        )
    drop = report.host_accuracy - report.device_accuracy
    # Shares of few samples are sums of floats: a drop of exactly the bound must not fail by rounding.
    if drop > tolerance.max_accuracy_drop + SHARE_SLACK:
        faults.append(f"{_accuracies(report)}, a drop of {tolerance.max_accuracy_drop:.1%} allowed")
    elif report.device_accuracy < tolerance.min_accuracy_share * report.host_accuracy - SHARE_SLACK:
        faults.append(f"{_accuracies(report)}, {tolerance.min_accuracy_share:.1%} of the host's wanted")
    return faults


def _accuracies(report: ParityReport) -> str:
    pair = report.answers
    return (
        f"accuracy {report.device_accuracy:.1%} on the device, {report.host_accuracy:.1%} on the host "
        f"({pair.lost} right answers lost, {pair.won} won, McNemar p = {pair.p_value:.2g})"
    )


def golden_fault(entry: ArtifactEntry, host_accuracy: float, samples: int) -> str | None:
    """What is wrong with the golden labels, if the host's own answers do not fit them as the manifest says.

    Host and device would agree on samples with scrambled labels, and the gate would compare nonsense.
    """
    expected = entry.host_accuracy
    if expected is None or samples == 0:
        return None
    # Two samples right and two wrong are added (Agresti and Coull 1998), since 1.0 would have no spread at all.
    share = (expected * samples + 2) / (samples + 4)
    spread = GOLDEN_SIGMAS * math.sqrt(share * (1 - share) / samples)
    if host_accuracy >= expected - spread:
        return None
    return (
        f"the golden labels do not fit the golden outputs: the host is right on {host_accuracy:.1%} of them, "
        f"the manifest says {expected:.1%}; export the bundle again"
    )


def spec_fault(entry: ArtifactEntry, runtime: Runtime) -> str | None:
    """Where the runtime reads the file's input or output otherwise than the manifest says, if it does."""
    for role, wanted, got in (("input", entry.input, runtime.inputs[0]), ("output", entry.output, runtime.outputs[0])):
        if wanted.dtype != got.dtype:
            return f"the {role} is {got.dtype} on the device, {wanted.dtype} in the manifest; export the bundle again"
        # A float tensor has no codes, whatever the graph does with it next.
        if wanted.numpy_dtype.kind != "f" and not _same_quantization(wanted, got):
            return (
                f"the {role}'s quantization is {_words(got)} on the device, {_words(wanted)} in the manifest; "
                "export the bundle again"
            )
    return None


def _same_quantization(wanted: TensorSpec, got: TensorSpec) -> bool:
    a, b = wanted.quantization, got.quantization
    if a is None or b is None:
        return a is b
    return (
        a.zero_points == b.zero_points
        and len(a.scales) == len(b.scales)
        and bool(np.allclose(a.scales, b.scales, rtol=SCALE_SLACK, atol=0))
    )


def _words(spec: TensorSpec) -> str:
    if spec.quantization is None:
        return "none"
    scales = ", ".join(f"{s:.6g}" for s in spec.quantization.scales[:3])
    return f"scale {scales}, zero point {', '.join(map(str, spec.quantization.zero_points[:3]))}"
