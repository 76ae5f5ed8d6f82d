"""One cell of the matrix, opened: figures, histogram, kernels, flips, times."""

from __future__ import annotations

from html import escape

from edge_cnn.core.protocols import Kernels
from edge_cnn.verify.baseline_change import BaselineChange
from edge_cnn.verify.parity import ParityReport
from edge_cnn.verify.report.bars import difference_bars, latency_bars
from edge_cnn.verify.report.flip_images import Samples, flip_figures
from edge_cnn.verify.verify_result import Lost, Skipped, VerifyResult


def result_details(result: VerifyResult, target: str, samples: Samples | None, change: BaselineChange | None) -> str:
    """A result; open where something is wrong, so that nobody has to look for it.

    Args:
        result: what to show.
        target: its id, to which the matrix links.
        samples: for the images of flips.
        change: against the baseline, if there is one.
    """
    wrong = not result.passed or (change is not None and change.is_regression)
    mark = '<span class="bad">failed</span>' if wrong else '<span class="good">passed</span>'
    inside = _inside(result, samples) if result.parity else ""
    # The id is inside, for a browser opens what a link's target is hidden in.
    return (
        f'<details class="cell{" failed" if wrong else ""}"{" open" if wrong else ""}>'
        f"<summary><b>{escape(result.device)}: {mark}</b>"
        f'<span class="soft">{escape(_engine(result))}</span></summary>'
        f'<div class="inside" id="{target}"><div class="across"><p>{escape(result.reason)}</p>'
        f"{_change_line(change, samples)}</div>{inside}</div></details>"
    )


def lost_details(lost: Lost, target: str) -> str:
    """A pair that has no answer."""
    return (
        f'<details class="cell lost" open><summary><b>{escape(lost.device)}: '
        '<span class="odd">lost</span></b></summary>'
        f'<div class="inside" id="{target}"><p>{escape(lost.reason)}</p></div></details>'
    )


def skipped_line(skipped: Skipped) -> str:
    """A pair that could not meet."""
    return f'<p class="soft">{escape(skipped.device)}: not run, {escape(skipped.reason)}</p>'


def _engine(result: VerifyResult) -> str:
    version = f" {result.parity.runtime_version}" if result.parity else ""
    kernels = f", {result.kernels} kernels" if result.kernels else ""
    return f"{result.runtime}{version}{kernels}{', emulated' if result.emulated else ''}"


def _change_line(change: BaselineChange | None, samples: Samples | None) -> str:
    if change is None:
        return ""
    tone = "bad" if change.is_regression else "soft"
    figures = flip_figures(change.answers, samples, "then", "now") if change.answers else ""
    return f'<p class="{tone}">Baseline: {escape(change.reason)}</p>{figures}'


def _inside(result: VerifyResult, samples: Samples | None) -> str:
    parity = result.parity
    assert parity is not None, "asked for results that ran"
    return (
        f"<div>{difference_bars(parity.compared)}{_times(result)}{_shares(parity.kernels)}</div>"
        f"<div>{_figures(result, parity)}</div>"
        f"{flip_figures(parity.answers, samples, 'host', 'device')}"
    )


def _times(result: VerifyResult) -> str:
    if result.emulated:
        return '<p class="soft">Times: emulated, so they would say nothing about the hardware.</p>'
    return latency_bars(result.latencies_us)


def _shares(kernels: Kernels) -> str:
    ranked = sorted(kernels.shares.items(), key=lambda item: -item[1])
    boxes = "".join(f'<i style="width:{100 * share:.1f}%"></i>' for _, share in ranked)
    words = ", ".join(f"{name} {share:.0%}" for name, share in ranked)
    return (
        f'<div class="shares" role="img" aria-label="{escape(words, quote=True)}">{boxes}</div>'
        f'<p class="soft">Operators: {escape(words)}</p>'
    )


def _figures(result: VerifyResult, parity: ParityReport) -> str:
    compared, pair = parity.compared, parity.answers
    pairs = [("golden samples", str(parity.samples))]
    if compared.max_lsb is not None:
        pairs.append((f"{compared.tensor}, largest difference", f"{compared.max_lsb} LSB"))
    if compared.mean_lsb is not None:
        pairs.append((f"{compared.tensor}, mean difference", f"{compared.mean_lsb:+.3f} LSB"))
    pairs += [
        (f"{compared.tensor}, largest difference", f"{compared.max_abs:.3g}"),
        (f"{compared.tensor}, mean difference", f"{compared.mean_abs:.3g}"),
        (f"{compared.tensor}, SQNR", _decibels(compared.sqnr_db)),
        ("smallest cosine", f"{compared.cosine:.6f}"),
        ("same top class", f"{parity.top1_agreement:.2%}"),
        ("accuracy on the host", _accuracy(parity.host_accuracy, pair.interval_before)),
        ("accuracy on the device", _accuracy(parity.device_accuracy, pair.interval_after)),
        ("right answers lost, won", f"{pair.lost}, {pair.won} (p = {pair.p_value:.2g})"),
        ("computed bits, SHA-256", parity.output_sha256[:12]),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    where = f'<p class="soft">Machine: {escape(result.facts.in_words())}</p>' if result.facts else ""
    why = f'<p class="soft">Tolerance: {escape(result.tolerance.reason)}.</p>' if result.tolerance else ""
    return f"<dl>{rows}</dl>{where}{why}"


def _accuracy(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{share:.1%} ({100 * low:.1f}..{100 * high:.1f})"


def _decibels(value: float) -> str:
    return f"{value:.1f} dB" if abs(value) < 1e9 else "equal" if value > 0 else "-"
