"""Curves on a logarithmic axis as SVG text, drawn in a millisecond: for a page that is written again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.charts import LINE, SOFT

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 24, 28
MAX_POINTS = 300
"""Of a curve; a finer one would not be seen."""

SMALLEST = 1e-4
"""What lies lower is drawn here, 0 too."""


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: beside its colour, plain text.
        colour: `#rrggbb`.
        x: rising, (n,).
        y: (n,); where it is not finite the line has a gap.
    """

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]


def log_chart(title: str, curves: Sequence[Curve]) -> str:
    """The curves over one another; SVG text.

    Args:
        title: above the chart, plain text.
        curves: at least one, each with a point or more.
    """
    x = np.concatenate([np.asarray(curve.x, np.float64) for curve in curves])
    y = np.concatenate([_drawn(curve.y) for curve in curves])
    finite = y[np.isfinite(y)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.1, 1.0)
    # At least a third of a decade, so that a flat curve has an axis.
    low, high = math.log10(low) - 0.1, max(math.log10(high) + 0.05, math.log10(low) + 0.33)
    first, last = float(x.min()), max(float(x.max()), float(x.min()) + 1)

    def place(values: NDArray[np.float64], heights: NDArray[np.float64]) -> str:
        across = LEFT + (values - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        down = TOP + (high - np.log10(heights)) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))

    lines = "".join(_line(curve, place) for curve in curves)
    names = "".join(
        f'<tspan fill="{curve.colour}" dx="{0 if number == 0 else 10}">{escape(curve.name)}</tspan>'
        for number, curve in enumerate(curves)
    )
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}" style="width:100%;height:auto" '
        f'font-family="system-ui, sans-serif" font-size="11"><text x="0" y="12" fill="{SOFT}">{escape(title)}</text>'
        f'<text x="{WIDTH - RIGHT}" y="12" text-anchor="end" font-weight="600">{names}</text>'
        f"{_levels(low, high)}{_ends(first, last)}{lines}</svg>"
    )


def _drawn(values: Sequence[float]) -> NDArray[np.float64]:
    return np.maximum(np.asarray(values, np.float64), SMALLEST)


def _line(curve: Curve, place: Callable[[NDArray[np.float64], NDArray[np.float64]], str]) -> str:
    x, y = np.asarray(curve.x, np.float64), _drawn(curve.y)
    if len(x) > MAX_POINTS:
        # The last one always, so that the line ends where the training is.
        chosen = np.unique(np.linspace(0, len(x) - 1, MAX_POINTS).astype(int))
        x, y = x[chosen], y[chosen]
    pieces = np.split(np.arange(len(x)), np.flatnonzero(np.diff(np.isfinite(y).astype(int))) + 1)
    drawn = ""
    for piece in pieces:
        if not np.isfinite(y[piece]).all():
            continue
        points = place(x[piece], y[piece])
        if len(piece) == 1:
            across, down = points.split(",")
            drawn += f'<circle cx="{across}" cy="{down}" r="2.5" fill="{curve.colour}"/>'
        else:
            drawn += f'<polyline points="{points}" fill="none" stroke="{curve.colour}" stroke-width="1.6"/>'
    return drawn


def _levels(low: float, high: float) -> str:
    """Lines across with their values: powers of ten, and 2 and 5 between them where there is room."""
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    values = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    marks = ""
    for value in values:
        level = math.log10(value)
        if low <= level <= high:
            down = TOP + (high - level) / (high - low) * (HEIGHT - TOP - BOTTOM)
            marks += (
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}" stroke="{LINE}"/>'
                f'<text x="{LEFT - 5}" y="{down + 3.5:.1f}" text-anchor="end" fill="{SOFT}">{value:g}</text>'
            )
    return marks


def _ends(first: float, last: float) -> str:
    down = HEIGHT - 8
    return (
        f'<text x="{LEFT}" y="{down}" fill="{SOFT}">epoch {first:g}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{down}" text-anchor="end" fill="{SOFT}">{last:g}</text>'
    )
