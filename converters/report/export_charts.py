"""Pictures of an export: what each scheme costs and gains, and how much of each layer survived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from converters.report.attempt import Attempt, pareto_front
from edge_cnn.host.charts import FIRST, INK, LINE, SECOND, SOFT, WIDTH_INCHES, drawing, svg_text

_LEAST_SPAN = 1.0
"""Percentage points that the axis of right answers spans at least."""

_COLOURS = {"tflite": FIRST, "onnx": SECOND}


def trade_off(attempts: Sequence[Attempt], cost: Callable[[Attempt], float | None], label: str) -> str:
    """Accuracy over a cost on a logarithmic axis, each file by its number from 1, the Pareto front as a line; SVG text.

    Args:
        attempts: the files.
        cost: a positive figure of a file; None leaves the file out.
        label: what the cost is, with its unit.
    """
    shown = [(number, a, value) for number, a in enumerate(attempts, 1) if (value := cost(a)) is not None]
    costs = [value for _, _, value in shown]
    accuracies = [100 * attempt.accuracy for _, attempt, _ in shown]
    front = pareto_front(costs, accuracies)
    with drawing(WIDTH_INCHES, 3.2) as figure:
        from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

        axes = figure.subplots()
        axes.plot([costs[i] for i in front], [accuracies[i] for i in front], color=SOFT, drawstyle="steps-post", lw=1)
        for place, ((number, attempt, x), y) in enumerate(zip(shown, accuracies, strict=True)):
            on_front = place in front
            colour = _COLOURS[attempt.format]
            axes.scatter(x, y, s=190, color=colour if on_front else "white", edgecolor=colour, zorder=3)
            axes.annotate(
                str(number), (x, y), ha="center", va="center", fontsize=8, zorder=4, color="white" if on_front else INK
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=8))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.12)
        low, high = min(accuracies), max(accuracies)
        # Less than a point is mostly chance, and must not fill the picture.
        margin = max(0.12 * (high - low), (_LEAST_SPAN - (high - low)) / 2)
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlabel(label)
        axes.set_ylabel("right answers (%)")
        return svg_text(figure, f"Accuracy over {label}")


def layer_bars(names: Sequence[str], decibels: Sequence[float]) -> str:
    """Signal to quantization noise ratio of each layer's output, in the order of execution; SVG text.

    Args:
        names: of the layers, short.
        decibels: SQNR in dB; infinite ones are drawn at the largest finite one.
    """
    finite = [value for value in decibels if abs(value) != float("inf")] or [0.0]
    shown: list[Any] = [min(max(value, min(finite)), max(finite)) for value in decibels]
    worst = min(range(len(shown)), key=lambda i: shown[i])
    with drawing(WIDTH_INCHES, 0.6 + 0.22 * len(names)) as figure:
        axes = figure.subplots()
        places = range(len(names))
        axes.barh(places, shown, height=0.7, color=[SECOND if i == worst else FIRST for i in places])
        for place, value in zip(places, shown, strict=True):
            axes.text(value, place, f" {value:.0f}", va="center", fontsize=8, color=SOFT)
        axes.set_yticks(places, names, fontsize=8)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=LINE)
        axes.set_xlabel("signal to quantization noise (dB)")
        axes.margins(x=0.1)
        return svg_text(figure, "Signal to quantization noise by layer")
