"""Charts of confidence and of gradients, as SVG text."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.host.charts import FIRST, INK, SECOND, SOFT, WIDTH_INCHES, drawing, plain_ticks, svg_text
from edge_cnn.host.insight.calibration import Calibration
from edge_cnn.host.insight.gradient_flow import GradientFlow

MOST_NAMED = 6
"""Layers in the legend of a chart."""

_SMALLEST = 1e-12
"""Gradients below it are drawn here, as a logarithm has no place for 0."""


def reliability_diagram(calibration: Calibration) -> str:
    """Share of right answers beside confidence, bin by bin, and how many answers each bin has; SVG text.

    The thin lines are the shares that so few answers leave possible (95 %).
    """
    bins = len(calibration.counts)
    edges = np.linspace(0, 1, bins + 1)
    middles, some = (edges[:-1] + edges[1:]) / 2, np.flatnonzero(calibration.counts)
    rights = calibration.accuracies[some]
    hits = np.rint(rights * calibration.counts[some]).astype(int)
    ends = np.array([wilson_interval(hit, count) for hit, count in zip(hits, calibration.counts[some], strict=True)])
    with drawing(WIDTH_INCHES, 4.6) as figure:
        from matplotlib.ticker import NullLocator, StrMethodFormatter

        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.bar(middles[some], rights, 0.9 / bins, color=FIRST, alpha=0.85, label="share of right answers")
        upper.vlines(middles[some], ends[:, 0], ends[:, 1], color=INK, linewidth=0.7)
        half = 0.45 / bins
        upper.hlines(
            calibration.confidences[some],
            middles[some] - half,
            middles[some] + half,
            SECOND,
            linewidth=2.6,
            label="confidence",
        )
        upper.set_ylim(0, 1.02)
        figure.legend(loc="outside upper left", ncols=2, handlelength=1.2)
        lower.bar(middles, calibration.counts, 0.9 / bins, color="#b8c2cb")
        lower.set_yscale("symlog", linthresh=1)
        lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        lower.yaxis.set_minor_locator(NullLocator())
        lower.set_title("answers", color=SOFT)
        lower.set_xlabel("confidence (the highest score)")
        lower.set_xlim(0, 1)
        lower.tick_params(axis="x", pad=9)  # room below the 0 of the other axis
        return svg_text(figure, "Share of right answers by confidence")


def gradient_chart(flow: GradientFlow) -> str:
    """Gradient a weight of each layer by epoch, from the first layer's orange to the last one's blue; SVG text."""
    count = len(flow.layers)
    named = np.unique(np.rint(np.linspace(0, count - 1, min(count, MOST_NAMED))).astype(int)).tolist()
    with drawing(WIDTH_INCHES, 3.0) as figure:
        from matplotlib.colors import LinearSegmentedColormap

        shades = LinearSegmentedColormap.from_list("depth", [SECOND, "#b9b2a4", FIRST])
        axes = figure.subplots()
        for i, values in enumerate(flow.per_weight):
            axes.plot(
                flow.epochs,
                np.maximum(values, _SMALLEST),
                color=shades(i / (count - 1)),
                label=flow.layers[i] if i in named else None,
                marker="o" if len(flow.epochs) < 3 else "",
                markersize=3,
            )
        axes.set_yscale("log")
        plain_ticks(axes)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title("gradient a weight (root mean square)", color=SOFT)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="layer", alignment="left")
        return svg_text(figure, "Gradient of each layer by epoch")
