"""docs/tolerances.md from the numbers in the code: `python -m edge_cnn.verify.tolerance_page docs/tolerances.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.core.confidence_interval import Z_95
from edge_cnn.core.tolerance import (
    FLOAT,
    HALF,
    HYBRID,
    INT4,
    INT16,
    INTEGER,
    INTEGERS,
    Tolerance,
    default_tolerances,
)
from edge_cnn.verify import tolerance_check as check
from edge_cnn.verify.paired_answers import SIGNIFICANT

_KINDS = {TFLITE: (INTEGER, INT16, INT4, FLOAT, HYBRID), ONNX: (INTEGER, FLOAT, HALF, HYBRID)}
_RECORDED_BY = {TFLITE: "litert-ref", ONNX: "ort-cpu"}
"""Kernel family of the host's golden outputs, by format."""

_HEAD = """# Tolerances of `edge-cnn verify`

This page is made from the code: `python -m edge_cnn.verify.tolerance_page docs/tolerances.md`.

The host records what its own reference kernels compute of the golden samples, and a device must compute the same. How
near depends on the numeric scheme and on the family of kernels that ran: integer kernels of one family give the same
bits on every machine (ONNX Runtime's nearly so), those of another round each layer a little differently. The bounds
travel in the bundle's manifest, so an older bundle keeps the ones that it was exported with.

Logits are compared where the graph has a head, since a saturated softmax hides differences. One LSB is one step of the
quantized tensor's own scale.

## Bounds by scheme and kernel family

"Answers" is the share of samples with the same top class; "drop" is the largest loss of accuracy, in points of the
samples; "share" is the smallest accuracy as a share of the host's; "peak" is the largest absolute value of the host's
logits, at least 1. Both accuracy gates hold at once: the drop binds an
accurate model, the share one that is hardly better than chance.
"""

_REST = """
## Bounds of every comparison

| what | bound | why |
|---|---|---|
"""

_TAIL = f"""
## Statistics

- Changed answers are counted on paired samples: those that the host had right and the device has not, and the reverse.
  Whether that is more than chance is told by McNemar's exact test, two-sided (McNemar 1947). Against the host its
  p-value is shown and does not decide, since a bound that is exceeded on few samples is still exceeded.
- Accuracies stand with the 95 % interval of Wilson's score (Wilson 1927; z = {Z_95:.2f}).
- SQNR is the power of the host's values over that of the differences, in dB; a bit of resolution is worth 6.02 dB.

## Against a baseline

`--baseline FILE.json` compares with an earlier run, sample by sample. A regression is

- a loss of right answers beyond chance: McNemar's exact test, p < {SIGNIFICANT}; or
- other bits from the same file, runtime version, kernels and CPU, for which there is no good reason; or
- an artifact that does not run any more.

Other bits from another file, version or kernel family are told with their effect and are no regression by themselves.

## What a bound can and cannot see

Exact kernels see every flipped bit that changes any output. Across families a single bit of one weight, or
preprocessing that is off by 1 or 2 %, moves the logits about as far as rounding does, and no bound that lets honest
kernels pass can tell them apart. The baseline does: the same kernels give the same bits, so it reports any change at
all, and a bundle's files are held against their SHA-256 before they are loaded.
"""


def page() -> str:
    """The whole page, Markdown."""
    tables = "".join(_table(name, computes) for name in (TFLITE, ONNX) for computes in _KINDS[name])
    rows = "".join(f"| {what} | {bound} | {why} |\n" for what, bound, why in _general_bounds())
    return _HEAD + tables + _REST + rows + _TAIL


def _table(format: str, computes: str) -> str:
    recorded_by, quantized = _RECORDED_BY[format], computes in INTEGERS
    head = (
        f"\n### .{format}, {computes} (recorded by {recorded_by})\n\n"
        "| kernels | largest difference | answers | drop | share | why |\n|---|---|---|---|---|---|\n"
    )
    tolerances = default_tolerances(format, quantized=quantized, recorded_by=recorded_by, computes=computes)
    return head + "".join(_row(family, tolerance) for family, tolerance in tolerances.items())


def _row(family: str, tolerance: Tolerance) -> str:
    largest = f"{tolerance.max_lsb} LSB" if tolerance.max_abs is None else f"{tolerance.max_abs:g} of the peak"
    return (
        f"| {family} | {largest} | {tolerance.min_top1_agreement:.1%} | {tolerance.max_accuracy_drop:.1%} "
        f"| {tolerance.min_accuracy_share:.1%} | {tolerance.reason} |\n"
    )


def _general_bounds() -> list[tuple[str, str, str]]:
    errors = f"{check.SIGMAS:g} standard errors"
    return [
        ("NaN or infinity", "none", "no kernel may give them for finite inputs"),
        (
            "mean difference",
            f"{check.MAX_MEAN_LSB:g} LSB and {errors}",
            "rounding errs to both sides; a wrong zero point moves all one way",
        ),
        (
            "slope of device against host",
            f"1 within {check.MAX_GAIN_ERROR:g} and {errors}",
            "rounding errs at large and small values alike; a scale or preprocessing that is off turns the line",
        ),
        (
            "probabilities, where there are no logits",
            f"{check.PROBABILITY_FACTOR} times the bound in LSB",
            "a softmax amplifies near its middle",
        ),
        (
            "outputs beyond what their logits explain",
            f"{check.MAX_OUTPUT_STEPS} steps, {check.MEAN_OUTPUT_STEPS} on average",
            "each kernel rounds its own exponentials; a softmax never amplifies by more than 1/2",
        ),
        (
            "float outputs behind exact logits",
            f"{check.EXACT_FLOATS:g}",
            "the exponential of another C library",
        ),
        (
            "accuracy of the host on the golden labels",
            f"the manifest's within {check.GOLDEN_SIGMAS:g} standard deviations",
            "labels in another order would make host and device agree on nonsense",
        ),
        ("scales and zero points", "the manifest's", "a device that reads the codes otherwise compares other values"),
        ("class names in the file", "the manifest's order", "names change no number, so no comparison would see them"),
    ]


def main() -> int:
    """Write the page to the path that is given."""
    (path,) = sys.argv[1:]
    Path(path).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
