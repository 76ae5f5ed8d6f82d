"""A verify report as one HTML file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

from html import escape

from edge_cnn.verify.parity import Difference, ParityReport
from edge_cnn.verify.verify_result import Skipped, VerifyReport, VerifyResult

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6472; --line: #d5dae1; --paper: #fff; --card: #f6f7f9;
  --good: #12703c; --bad: #b3261e; --bar: #3567b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --soft: #a3acba; --line: #3a4250; --paper: #14181f;
  --card: #1d232c; --good: #6fd49b; --bad: #ff8a80; --bar: #86aef0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.cells { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.cell { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; background: var(--card); }
.cell.failed { border-color: var(--bad); border-width: 2px; }
.cell h3 { font-size: 1rem; margin: 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .75rem; margin: .5rem 0; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.bars { display: flex; align-items: flex-end; gap: 2px; height: 5.5rem; margin-top: .5rem; padding: 0;
  border-bottom: 1px solid var(--line); }
.bar { flex: 1 1 0; min-width: 2px; background: var(--bar); }
.scale { display: flex; gap: 2px; font-size: .75rem; color: var(--soft); }
.scale span { flex: 1 1 0; text-align: center; white-space: nowrap; }
.scale.ends { justify-content: space-between; } .scale.ends span { flex: 0 0 auto; }
"""

MAX_BARS = 41
"""More would be thinner than two pixels on a phone; differences are grouped into wider bars instead."""

MAX_LABELLED_BARS = 13


def to_html(report: VerifyReport) -> str:
    """The document: a row of cells an artifact, a cell a device."""
    failed = sum(not result.passed for result in report.results)
    count = len(report.results)
    verdict = (
        f'<p class="good">Passed: {count} of {count} within tolerance.</p>'
        if report.passed
        else f'<p class="bad">Failed: {failed} of {count} out of tolerance.</p>'
    )
    artifacts = dict.fromkeys([r.artifact for r in report.results] + [s.artifact for s in report.skipped])
    rows = "".join(_row(name, report) for name in artifacts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Host against device: {escape(report.name)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>Host against device: {escape(report.name)}</h1>{verdict}\n"
        '<p class="soft">The golden samples in the bundle were run on each device; differences are device minus host. '
        "One LSB is one step of the quantized tensor.</p>\n"
        f"{rows}</body></html>\n"
    )


def _row(artifact: str, report: VerifyReport) -> str:
    cells = [_cell(r) for r in report.results if r.artifact == artifact]
    cells += [_skipped(s) for s in report.skipped if s.artifact == artifact]
    return f'<h2>{escape(artifact)}</h2><div class="cells">{"".join(cells)}</div>\n'


def _skipped(skip: Skipped) -> str:
    return (
        f'<section class="cell"><h3>{escape(skip.device)}</h3>'
        f'<p class="soft">not run: {escape(skip.reason)}</p></section>'
    )


def _cell(result: VerifyResult) -> str:
    mark = '<span class="good">passed</span>' if result.passed else '<span class="bad">failed</span>'
    numbers = _numbers(result.parity) if result.parity else ""
    return (
        f'<section class="cell{"" if result.passed else " failed"}"><h3>{escape(result.device)}: {mark}</h3>'
        f'<p class="soft">{escape(result.runtime)}{escape(_details(result))}</p>'
        f"<p>{escape(result.reason)}</p>{numbers}</section>"
    )


def _details(result: VerifyResult) -> str:
    version = f" {result.parity.runtime_version}" if result.parity else ""
    return f"{version}, {result.kernels} kernels" if result.kernels else version


def _numbers(parity: ParityReport) -> str:
    compared = parity.compared
    pairs = [("samples", str(parity.samples))]
    if compared.max_lsb is not None:
        pairs.append((f"{compared.tensor}, largest difference", f"{compared.max_lsb} LSB"))
    if compared.mean_lsb is not None:
        pairs.append((f"{compared.tensor}, mean difference", f"{compared.mean_lsb:+.3f} LSB"))
    pairs += [
        (f"{compared.tensor}, largest difference", f"{compared.max_abs:.3g}"),
        (f"{compared.tensor}, mean difference", f"{compared.mean_abs:.3g}"),
        ("smallest cosine", f"{compared.cosine:.6f}"),
        ("same top class", f"{parity.top1_agreement:.2%}"),
        ("accuracy on the host", f"{parity.host_accuracy:.2%}"),
        ("accuracy on the device", f"{parity.device_accuracy:.2%}"),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{rows}</dl>{_bars(compared)}"


def _bars(compared: Difference) -> str:
    bins = _bins(compared.histogram)
    if not bins:
        return ""
    total = sum(count for _, _, count in bins)
    tallest = max(count for _, _, count in bins)
    bars = "".join(
        # A single value among thousands must still be seen.
        f'<div class="bar" style="height:{max(100 * count / tallest, 2 if count else 0):.1f}%" '
        f'title="{_span(low, high)} LSB: {count} values ({count / total:.2%})"></div>'
        for low, high, count in bins
    )
    if len(bins) <= MAX_LABELLED_BARS:
        scale = "".join(f"<span>{_span(low, high)}</span>" for low, high, _ in bins)
        axis = f'<div class="scale">{scale}</div>'
    else:
        axis = f'<div class="scale ends"><span>{bins[0][0]:+d}</span><span>{bins[-1][1]:+d}</span></div>'
    exact = compared.histogram.get(0, 0) / total
    caption = f"Differences of {compared.tensor} in LSB: {exact:.2%} of {total} values are equal."
    return (
        f'<div class="bars" role="img" aria-label="{escape(caption, quote=True)}">{bars}</div>{axis}'
        f'<p class="soft">{escape(caption)}</p>'
    )


def _bins(histogram: dict[int, int]) -> list[tuple[int, int, int]]:
    """(lowest, highest, count) of each bar, without gaps from the smallest difference to the largest, 0 included."""
    if not histogram:
        return []
    low, high = min(0, *histogram), max(0, *histogram)
    width = -(-(high - low + 1) // MAX_BARS)
    edges = range(low, high + 1, width)
    return [(e, e + width - 1, sum(histogram.get(d, 0) for d in range(e, e + width))) for e in edges]


def _span(low: int, high: int) -> str:
    ends = [f"{d:+d}" if d else "0" for d in dict.fromkeys((low, high))]
    return "..".join(ends)
