"""Curves on a logarithmic axis as SVG text, drawn in a millisecond: for a page that is written again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.charts import LINE, SOFT
from edge_cnn.host.log_axis import LogAxis, log_axis

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 24, 28
MAX_POINTS = 300
"""Of a curve; a finer one would not be seen."""

LABELS = 10
"""As many have room beside the axis."""


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
    """The curves over one another, zeros at the lower edge; SVG text.

    Args:
        title: above the chart, plain text.
        curves: at least one, each with a point or more.
    """
    x = np.concatenate([np.asarray(curve.x, np.float64) for curve in curves])
    axis = log_axis(np.concatenate([np.asarray(curve.y, np.float64) for curve in curves]))
    first, last = float(x.min()), max(float(x.max()), float(x.min()) + 1)

    def place(values: NDArray[np.float64], heights: NDArray[np.float64]) -> str:
        across = LEFT + (values - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        down = [_down(axis, value) for value in axis.placed(heights)]
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
        f"{_levels(axis)}{_ends(first, last)}{lines}</svg>"
    )


def _down(axis: LogAxis, value: float) -> float:
    """Where a value stands, from the top."""
    return TOP + math.log(axis.high / value) / math.log(axis.high / axis.low) * (HEIGHT - TOP - BOTTOM)


def _line(curve: Curve, place: Callable[[NDArray[np.float64], NDArray[np.float64]], str]) -> str:
    x, y = np.asarray(curve.x, np.float64), np.asarray(curve.y, np.float64)
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


def _levels(axis: LogAxis) -> str:
    """Lines across with their values."""
    marks = ""
    for value, label in axis.ticks(LABELS).items():
        down = _down(axis, value)
        marks += (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}" stroke="{LINE}"/>'
            f'<text x="{LEFT - 5}" y="{down + 3.5:.1f}" text-anchor="end" fill="{SOFT}">{label}</text>'
        )
    return marks


def _ends(first: float, last: float) -> str:
    down = HEIGHT - 8
    return (
        f'<text x="{LEFT}" y="{down}" fill="{SOFT}">epoch {first:g}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{down}" text-anchor="end" fill="{SOFT}">{last:g}</text>'
    )
