"""Figures with their confidence intervals, a row each: a dot, a whisker and the numbers in words."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from edge_cnn.verify.report.axis import Axis, tick_texts


@dataclass(frozen=True)
class WhiskerRow:
    """One figure.

    Attributes:
        name: what it is of.
        remark: beside the name, in small letters.
        numbers: the figure in words.
        value: where the dot is.
        interval: the whisker's ends; None draws the dot alone.
        style: class in the style sheet.
    """

    name: str
    remark: str
    numbers: str
    value: float
    interval: tuple[float, float] | None
    style: str


def whisker_rows(rows: list[WhiskerRow], axis: Axis, *, signed: bool = False) -> str:
    """A list, with the axis in percent below it; values are shares.

    Args:
        rows: in the order in which they shall stand.
        axis: the same for all rows.
        signed: values are differences, so ticks have a sign and 0 is drawn strong.
    """
    ticks = axis.ticks(7)
    items = "".join(
        f'<li><span class="name"><b title="{escape(row.name, quote=True)}">{escape(row.name)}</b> '
        f'<span class="soft">{escape(row.remark)}</span></span>{_svg(row, axis, ticks)}'
        f'<span class="numbers">{escape(row.numbers)}</span></li>'
        for row in rows
    )
    texts = [f"+{t}" if signed and tick > 0 else t for tick, t in zip(ticks, tick_texts(ticks, 100.0), strict=True)]
    marks = "".join(
        f'<span style="left:{100 * axis.place(tick):.2f}%">{text}</span>'
        for tick, text in zip(ticks, texts, strict=True)
    )
    unit = "percentage points" if signed else "percent"
    scale = f'<li class="scale"><span class="ticks">{marks}</span><span class="unit">{unit}</span></li>'
    return f'<ul class="whiskers">{items}{scale}</ul>'


def _svg(row: WhiskerRow, axis: Axis, ticks: list[float]) -> str:
    # The box is as wide as its place and not scaled in proportion: strokes keep their width, and a dot is the round cap
    # of a line without length.
    def at(value: float) -> str:
        return f"{1000 * axis.place(value):.1f}"

    grid = "".join(f'<path class="{"axis" if tick == 0 else "grid"}" d="M{at(tick)} 0V20"/>' for tick in ticks)
    whisker = f'<path class="{row.style}" d="M{at(row.interval[0])} 10H{at(row.interval[1])}"/>' if row.interval else ""
    return (
        f'<svg viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(f"{row.name}: {row.numbers}", quote=True)}">{grid}{whisker}'
        f'<path class="dot {row.style}" d="M{at(row.value)} 10h.01"/></svg>'
    )
