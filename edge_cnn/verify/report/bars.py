"""Bar charts of plain HTML boxes: differences in LSB, and latencies."""

from __future__ import annotations

from html import escape

import numpy as np

from edge_cnn.verify.parity import Difference

MAX_BARS = 41
"""More would be thinner than two pixels on a phone; differences are grouped into wider bars instead."""

MAX_LABELLED_BARS = 13
LATENCY_BARS = 24


def difference_bars(compared: Difference) -> str:
    """The histogram of differences in codes; empty for floats, whose differences are not counted."""
    bins = difference_bins(compared.histogram)
    if not bins:
        return ""
    total = sum(count for _, _, count in bins)
    titles = [f"{_span(low, high)} LSB: {count} values ({count / total:.2%})" for low, high, count in bins]
    if len(bins) <= MAX_LABELLED_BARS:
        scale = "".join(f"<span>{_span(low, high)}</span>" for low, high, _ in bins)
        axis = f'<div class="scale">{scale}</div>'
    else:
        axis = _ends(f"{bins[0][0]:+d}", f"{bins[-1][1]:+d}")
    exact = compared.histogram.get(0, 0) / total
    caption = f"Differences of {compared.tensor} in LSB: {exact:.2%} of {total} values are equal."
    return _chart([count for _, _, count in bins], titles, axis, caption)


def latency_bars(latencies_us: tuple[float, ...]) -> str:
    """The distribution of latencies in microseconds; the slowest runs share the last bar."""
    if not latencies_us:
        return ""
    values = np.array(latencies_us)
    p50, p90 = np.quantile(values, (0.5, 0.9))
    low, high = float(values.min()), float(values.max())
    # A single interrupted run would squeeze all others into one bar.
    end = min(high, max(1.5 * float(p90), low * 1.01, low + 1.0))
    counts, edges = np.histogram(np.minimum(values, end), LATENCY_BARS, (low, max(end, low + 1.0)))
    titles = [f"{a:.0f}..{b:.0f} us: {n} runs" for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]
    beyond = int((values > end).sum())
    more = f" {beyond} slower than {end:.0f} us, up to {high:.0f}, stand in the last bar." if beyond else ""
    caption = f"{len(values)} runs at batch 1, timed during the replay: p50 {p50:.0f} us, p90 {p90:.0f} us.{more}"
    return _chart([int(n) for n in counts], titles, _ends(f"{edges[0]:.0f} us", f"{edges[-1]:.0f} us"), caption)


def difference_bins(histogram: dict[int, int]) -> list[tuple[int, int, int]]:
    """(lowest, highest, count) of each bar, without gaps from the smallest difference to the largest, 0 included."""
    if not histogram:
        return []
    low, high = min(0, *histogram), max(0, *histogram)
    width = -(-(high - low + 1) // MAX_BARS)
    edges = range(low, high + 1, width)
    return [(e, e + width - 1, sum(histogram.get(d, 0) for d in range(e, e + width))) for e in edges]


def _chart(counts: list[int], titles: list[str], axis: str, caption: str) -> str:
    tallest = max(counts)
    bars = "".join(
        # A single value among thousands must still be seen.
        f'<div class="bar" style="height:{max(100 * count / tallest, 2 if count else 0):.1f}%" title="{escape(title)}">'
        "</div>"
        for count, title in zip(counts, titles, strict=True)
    )
    return (
        f'<div class="chart"><div class="bars" role="img" aria-label="{escape(caption, quote=True)}">{bars}</div>{axis}'
        f'<p class="soft">{escape(caption)}</p></div>'
    )


def _ends(low: str, high: str) -> str:
    return f'<div class="scale ends"><span>{low}</span><span>{high}</span></div>'


def _span(low: int, high: int) -> str:
    ends = [f"{d:+d}" if d else "0" for d in dict.fromkeys((low, high))]
    return "..".join(ends)
