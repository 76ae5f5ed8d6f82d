"""A line chart as inline SVG: curves over the passes of a training, with axes, a band and marks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from edge_cnn.verify.report.axis import Axis, axis_around, tick_texts

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 26, 44
MOST_DOTS = 40
"""Passes up to which each one is a dot of its own, that tells its figures."""


@dataclass(frozen=True)
class Curve:
    """One value a pass.

    Attributes:
        name: for the legend.
        style: class in the style sheet.
        points: (pass, value); those that are not finite are left out.
    """

    name: str
    style: str
    points: list[tuple[int, float]]


@dataclass(frozen=True)
class Band:
    """A range of values that holds for all passes, with the likeliest one in it."""

    name: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Mark:
    """A single figure beside the curves."""

    name: str
    style: str
    at: int
    value: float


def line_chart(
    title: str,
    curves: list[Curve],
    *,
    chosen: int,
    percent: bool = False,
    band: Band | None = None,
    marks: tuple[Mark, ...] = (),
) -> str:
    """A figure: title with the unit, chart, legend.

    Args:
        title: what the vertical axis shows.
        curves: all over the same passes.
        chosen: the pass to point out.
        percent: values are shares, shown as percentages; else they are at least 0.
        band, marks: behind and over the curves.
    """
    scale = 100.0 if percent else 1.0
    drawn = [Curve(c.name, c.style, [p for p in c.points if math.isfinite(p[1])]) for c in curves]
    values = [value for curve in drawn for _, value in curve.points] + [mark.value for mark in marks]
    values += [band.low, band.high] if band else []
    if not values:
        return ""
    passes = Axis(0, max(max((x for curve in drawn for x, _ in curve.points), default=1), chosen, 1))
    heights = axis_around(values, 0.0, 1.0 if percent else math.inf)
    parts = [_grid(heights, scale), _passes(passes)]
    if band:
        parts.append(_band(band, heights))
    parts.append(_chosen(chosen, passes))
    parts += [_curve(curve, passes, heights, scale) for curve in drawn]
    parts += [
        f'<circle class="{mark.style}" cx="{_x(mark.at, passes):.1f}" cy="{_y(mark.value, heights):.1f}" r="5.5">'
        f"<title>{escape(mark.name)}</title></circle>"
        for mark in marks
    ]
    names = [(curve.style, curve.name) for curve in drawn] + [(mark.style, mark.name) for mark in marks]
    names += [("band", band.name)] if band else []
    keys = "".join(f'<span class="key"><i class="{style}"></i>{escape(name)}</span>' for style, name in names)
    told = escape(f"{title} over {passes.high:g} passes, pass {chosen} chosen", quote=True)
    return (
        f'<figure class="plot"><h3>{escape(title)}</h3><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{told}">{"".join(parts)}</svg><figcaption class="keys">{keys}</figcaption></figure>'
    )


def _grid(heights: Axis, scale: float) -> str:
    ticks = heights.ticks()
    return "".join(
        f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        for y, text in zip([_y(tick, heights) for tick in ticks], tick_texts(ticks, scale), strict=True)
    )


def _passes(passes: Axis) -> str:
    ticks, bottom = passes.ticks(8, least_step=1), HEIGHT - BOTTOM
    marks = "".join(
        f'<line class="axis" x1="{_x(tick, passes):.1f}" x2="{_x(tick, passes):.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
        f'<text x="{_x(tick, passes):.1f}" y="{bottom + 19}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    )
    return (
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>{marks}'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">passes over the samples</text>'
    )


def _band(band: Band, heights: Axis) -> str:
    top, bottom, middle = (_y(value, heights) for value in (band.high, band.low, band.middle))
    return (
        f'<rect class="band" x="{LEFT}" width="{WIDTH - RIGHT - LEFT}" y="{top:.1f}" height="{bottom - top:.1f}"/>'
        f'<line class="reach" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
    )


def _chosen(chosen: int, passes: Axis) -> str:
    at, share = _x(chosen, passes), passes.place(chosen)
    anchor = "start" if share < 0.2 else "end" if share > 0.8 else "middle"
    return (
        f'<line class="chosen" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 6}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="chosen" x="{at:.1f}" y="{TOP - 11}" text-anchor="{anchor}">'
        f"{f'pass {chosen}' if chosen else 'the start'}, chosen</text>"
    )


def _curve(curve: Curve, passes: Axis, heights: Axis, scale: float) -> str:
    places = [(_x(at, passes), _y(value, heights)) for at, value in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    line = f'<polyline class="{curve.style}" points="{path}"/>' if len(places) > 1 else ""
    if len(places) > MOST_DOTS:
        return line
    return line + "".join(
        f'<circle class="{curve.style}" cx="{x:.1f}" cy="{y:.1f}" r="2.6">'
        f"<title>{escape(curve.name)}, pass {at}: {value * scale:.4g}{' %' if scale > 1 else ''}</title></circle>"
        for (x, y), (at, value) in zip(places, curve.points, strict=True)
    )


def _x(at: float, passes: Axis) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * passes.place(at)


def _y(value: float, heights: Axis) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * heights.place(value)
