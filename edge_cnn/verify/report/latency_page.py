"""Bench reports as one HTML file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_cnn.verify.latency_report import OUTLIER_FACTOR, LatencyReport, Timing
from edge_cnn.verify.report.document import html_document

_STYLE = """
.stack, .keys { --p1: var(--bar); --p2: #5f9ea0; --p3: #c98a2b; --p4: #9b5fa8; }
@media (prefers-color-scheme: dark) { .stack, .keys { --p2: #86c5c7; --p3: #e5b566; --p4: #c79ad1; } }
.cells { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.cell { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; background: var(--card); }
.cell h3 { font-size: 1rem; margin: 0; }
.scale { display: flex; justify-content: space-between; font-size: .75rem; color: var(--soft); }
.stack { display: flex; height: 1rem; margin: .5rem 0 .25rem; border-radius: .25rem; overflow: hidden; }
.stack div:nth-child(1), .key:nth-child(1)::before { background: var(--p1); }
.stack div:nth-child(2), .key:nth-child(2)::before { background: var(--p2); }
.stack div:nth-child(3), .key:nth-child(3)::before { background: var(--p3); }
.stack div:nth-child(4), .key:nth-child(4)::before { background: var(--p4); }
.keys { display: flex; flex-wrap: wrap; gap: 0 .75rem; font-size: .8rem; color: var(--soft); }
.key::before { content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .3em; }
svg { display: block; width: 100%; height: 3.5rem; margin-top: .5rem; }
polyline { fill: none; stroke: var(--bar); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
table { border-collapse: collapse; width: 100%; font-size: .8rem; margin-top: .5rem; }
td, th { text-align: left; padding: .1rem .4rem; border-top: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; margin-top: .5rem; }
"""

BARS = 40
POINTS = 120
"""Of the curve over time; each is the median of the runs that fall on it."""


def to_html(model: str, reports: Sequence[LatencyReport]) -> str:
    """The document: a row of cells an artifact, a cell a device and number of threads.

    Args:
        model: name of the file that was measured.
        reports: in the order in which they shall stand.
    """
    artifacts = dict.fromkeys(report.artifact for report in reports)
    rows = "".join(_row(name, [r for r in reports if r.artifact == name]) for name in artifacts)
    body = (
        '<p class="soft">Batch 1, in fresh processes, timed on the device itself. '
        f"No run is left out of a figure; outliers are runs above {OUTLIER_FACTOR:g} times the median.</p>\n{rows}"
    )
    return html_document(f"Latency: {model}", _STYLE, body)


def _row(artifact: str, reports: Sequence[LatencyReport]) -> str:
    return f'<h2>{escape(artifact)}</h2><div class="cells">{"".join(_cell(r) for r in reports)}</div>\n'


def _cell(report: LatencyReport) -> str:
    threads = f"{report.threads} thread{'s' if report.threads > 1 else ''}"
    ran_on = ", ".join(f"{name} {share:.0%}" for name, share in report.kernels.shares.items())
    body = (
        "<p>emulated: the model runs; the times of an emulator are no device's and are not shown</p>"
        if report.timing is None
        else _measured(report.timing)
    )
    return (
        f'<section class="cell"><h3>{escape(report.device)}, {threads}</h3>'
        f'<p class="soft">{escape(report.runtime)} {escape(report.version)}, {escape(report.kernels.family)} kernels '
        f"({escape(ran_on)})</p>"
        f'<p class="soft">{escape(report.facts.in_words())}</p>{body}</section>'
    )


def _measured(timing: Timing) -> str:
    runs = len(timing.latencies_us)
    pairs = [
        ("p50", f"{timing.percentile(0.5):,.0f} µs"),
        ("p90", f"{timing.percentile(0.9):,.0f} µs"),
        ("p99", f"{timing.percentile(0.99):,.0f} µs"),
        ("longest", f"{timing.latencies_us.max():,.0f} µs"),
        ("outliers", f"{timing.outliers} of {runs}"),
        ("images a second", f"{timing.images_per_s:,.0f}"),
        ("peak memory", f"{timing.peak_memory_mb:.1f} MiB"),
        ("cold start", f"{timing.cold_start.total_ms:.0f} ms"),
    ]
    numbers = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    mark = ' class="bad"' if timing.throttling.noticed else ' class="soft"'
    return (
        f"<dl>{numbers}</dl>{_cold_start(timing)}{_distribution(timing.latencies_us)}{_course(timing.latencies_us)}"
        f"<p{mark}>Throttling: {escape(timing.throttling.in_words())}</p>{_operators(timing)}"
    )


def _cold_start(timing: Timing) -> str:
    start = timing.cold_start
    parts = {
        "process": start.process_ms,
        "import": start.import_ms,
        "load": start.load_ms,
        "first run": start.first_inference_ms,
    }
    total = start.total_ms or 1.0
    bars = "".join(f'<div style="width:{100 * ms / total:.1f}%"></div>' for ms in parts.values())
    keys = "".join(f'<span class="key">{name} {ms:.1f} ms</span>' for name, ms in parts.items())
    caption = "Cold start: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in parts.items())
    return f'<div class="stack" role="img" aria-label="{caption}">{bars}</div><div class="keys">{keys}</div>'


def _distribution(latencies: NDArray[np.float64]) -> str:
    """A histogram with steps of equal ratio, so that a tail far away does not squeeze the rest into one bar."""
    low, high = float(latencies.min()), float(latencies.max())
    if high <= low:
        return ""
    edges = np.geomspace(low, high, BARS + 1)
    edges[0], edges[-1] = low, high  # Rounding must leave no run outside.
    counts = np.histogram(latencies, edges)[0]
    bars = "".join(
        # A single run among thousands must still be seen.
        f'<div class="bar" style="height:{max(100 * count / counts.max(), 2 if count else 0):.1f}%" '
        f'title="{left:,.1f} to {right:,.1f} µs: {count} runs"></div>'
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )
    middle = float(np.sqrt(low * high))
    scale = "".join(f"<span>{value:,.0f} µs</span>" for value in (low, middle, high))
    caption = f"Distribution of {len(latencies)} latencies, logarithmic scale"
    return (
        f'<div class="bars" role="img" aria-label="{caption}">{bars}</div><div class="scale">{scale}</div>'
        f'<p class="soft">{caption}</p>'
    )


def _course(latencies: NDArray[np.float64]) -> str:
    """The medians of slices in the order of the runs, from 0 to the largest of them."""
    slices = np.array_split(latencies, min(POINTS, len(latencies)))
    medians = [float(np.median(part)) for part in slices]
    if len(medians) < 2:
        return ""
    top = max(medians)
    points = " ".join(f"{100 * i / (len(medians) - 1):.2f},{60 - 58 * m / top:.2f}" for i, m in enumerate(medians))
    caption = f"Latency in the order of the runs, 0 to {top:,.0f} µs"
    return (
        f'<svg viewBox="0 0 100 60" preserveAspectRatio="none" role="img" aria-label="{caption}">'
        f'<polyline points="{points}"/></svg><p class="soft">{caption}</p>'
    )


def _operators(timing: Timing) -> str:
    if timing.operators is None:
        reason = timing.operators_reason
        return f'<p class="soft">Operators: {escape(reason)}</p>' if reason else ""
    total = sum(o.us for o in timing.operators) or 1.0
    rows = "".join(
        f'<tr><td>{escape(o.op)}</td><td class="number">{o.us:,.0f}</td><td class="number">{o.us / total:.1%}</td>'
        f"<td>{escape(o.provider)}</td><td>{escape(o.name)}</td></tr>"
        for o in sorted(timing.operators, key=lambda o: -o.us)
    )
    return (
        "<details><summary>Operators, median of a run with the profiler on</summary>"
        '<table><tr><th>operator</th><th class="number">µs</th><th class="number">share</th><th>ran on</th>'
        f"<th>node</th></tr>{rows}</table></details>"
    )
