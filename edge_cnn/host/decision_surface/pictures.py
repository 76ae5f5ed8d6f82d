"""Surfaces and points as pictures that stand inside an HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.charts import INK, LINE, SOFT, png_address
from edge_cnn.host.decision_surface.colours import activation_colours, class_colour
from edge_cnn.host.decision_surface.plane import Plane

MAX_RIGHT, MAX_WRONG = 600, 300
"""Points of a part that are drawn at most; with more of them the picture is full and the page heavy."""

FEW_WRONG = 12
"""So many get a ring that catches the eye; more of them one that leaves something to see."""

MAX_NEURONS = 64
"""Of a layer."""


@dataclass(frozen=True)
class Points:
    """A part of the data set, and what the network says of it.

    Attributes:
        name: of the part, for people.
        places: (n, 2), as `Plane.place` gives them.
        labels: the truth, int64 (n,).
        answers: of the network, int64 (n,).
        rim: colour of the rim that tells the parts apart.
    """

    name: str
    places: NDArray[np.float64]
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    rim: str

    @property
    def wrong(self) -> NDArray[np.bool_]:
        return self.answers != self.labels


def answered_points(
    plane: Plane, train: tuple[LabelledImages, NDArray[Any]], test: tuple[LabelledImages, NDArray[Any]]
) -> tuple[Points, Points]:
    """Both parts with the scores (n, classes) that the network gives them: training points with a white rim, test
    points with a dark one."""
    return (
        Points("training", plane.place(train[0].images), train[0].labels, train[1].argmax(axis=1), "#ffffff"),
        Points("test", plane.place(test[0].images), test[0].labels, test[1].argmax(axis=1), INK),
    )


def surface_picture(pixels: NDArray[np.uint8], parts: Sequence[Points], class_names: Sequence[str]) -> str:
    """The plane with its points, those answered wrong in a ring; SVG text.

    Args:
        pixels: uint8 (side, side, 3), the upper row first.
        parts: drawn in this order.
        class_names: for the words beside a wrong point.
    """
    marks = "".join(_right_points(part) for part in parts) + "".join(_wrong_points(part, class_names) for part in parts)
    return (
        '<svg role="img" aria-label="Answer of the network at every point of the plane" viewBox="0 0 200 200" '
        f'style="width:100%;height:auto;border:1px solid {LINE};border-radius:4px">'
        f'<image href="{png_address(pixels)}" width="200" height="200" preserveAspectRatio="none"/>{marks}</svg>'
    )


def legend(parts: Sequence[Points], class_names: Sequence[str]) -> str:
    """What colours, rims and rings mean; HTML text."""
    signs = [
        *[(_dot(class_colour(k), class_colour(k)), name) for k, name in enumerate(class_names)],
        *[(_dot(SOFT, part.rim), f"{part.name} point") for part in parts],
        (_dot("none", INK), "answered wrong"),
    ]
    cells = "".join(
        f'<span style="white-space:nowrap;margin-right:1rem">{sign} {escape(text)}</span> ' for sign, text in signs
    )
    return f'<div style="font-size:.85rem;color:{SOFT};line-height:1.6">{cells}</div>'


def neuron_pictures(neurons: Mapping[str, NDArray[np.float32]]) -> str:
    """A small picture a neuron, layer by layer; HTML text.

    Args:
        neurons: values float32 (side, side, neurons) by layer; the largest size in a layer has the full colour.
    """
    return "".join(_layer(name, values) for name, values in neurons.items())


def film_strip(frames: Sequence[tuple[str, NDArray[np.uint8]]]) -> str:
    """Surfaces one after another, with a line below each; HTML text.

    Args:
        frames: caption in plain text, pixels uint8 (side, side, 3).
    """
    cells = "".join(
        f'<figure style="margin:0"><img src="{png_address(pixels)}" alt="{escape(caption)}" '
        f'style="width:100%;height:auto;display:block;border:1px solid {LINE};border-radius:4px">'
        f'<figcaption style="font-size:.8rem;color:{SOFT}">{escape(caption)}</figcaption></figure>'
        for caption, pixels in frames
    )
    return _columns("5.8rem", cells)


def _layer(name: str, values: NDArray[np.float32]) -> str:
    largest = max(float(np.abs(values).max(initial=0)), 1e-12)
    shown = activation_colours(values[:, :, :MAX_NEURONS], largest)
    cells = "".join(
        f'<img src="{png_address(shown[:, :, k])}" alt="neuron {k + 1} of {escape(name)}" '
        f'style="width:100%;height:auto;display:block;border:1px solid {LINE};border-radius:3px">'
        for k in range(shown.shape[2])
    )
    count = values.shape[2]
    number = f"{count} neurons" if count <= MAX_NEURONS else f"the first {MAX_NEURONS} of {count} neurons"
    heading = f'<div style="font-size:.85rem;color:{SOFT};margin:.6rem 0 .3rem">{escape(name)}: {number}</div>'
    return heading + _columns("3rem", cells)


def _columns(narrowest: str, cells: str) -> str:
    return (
        f'<div style="display:grid;grid-template-columns:repeat(auto-fill,minmax({narrowest},1fr));gap:.4rem">'
        f"{cells}</div>"
    )


def _right_points(part: Points) -> str:
    rows = _spread(np.flatnonzero(~part.wrong), MAX_RIGHT)
    return f'<g stroke="{part.rim}" stroke-width=".5">{_circles(part, rows)}</g>'


def _wrong_points(part: Points, class_names: Sequence[str]) -> str:
    rings: list[str] = []
    rows = _spread(np.flatnonzero(part.wrong), MAX_WRONG)
    radius, width = (4.5, 1.2) if len(rows) <= FEW_WRONG else (2.9, 0.7)
    for row in rows:
        x, y = 200 * part.places[row]
        words = (
            f"{part.name} point: {class_names[int(part.labels[row])]}, taken for {class_names[int(part.answers[row])]}"
        )
        rings.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(words)}</title></circle>')
    points = f'<g stroke="{part.rim}" stroke-width=".5">{_circles(part, rows)}</g>'
    # Filled with nothing that shows, so that a pointer inside the ring finds its words.
    return points + f'<g fill="{INK}" fill-opacity="0" stroke="{INK}" stroke-width="{width}">{"".join(rings)}</g>'


def _circles(part: Points, rows: NDArray[np.int64]) -> str:
    return "".join(
        f'<circle cx="{200 * part.places[row, 0]:.1f}" cy="{200 * part.places[row, 1]:.1f}" r="1.9" '
        f'fill="{class_colour(int(part.labels[row]))}"/>'
        for row in rows
    )


def _spread(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _dot(fill: str, rim: str) -> str:
    # On a pale ground a white rim shows as well.
    return (
        '<svg width="14" height="14" viewBox="0 0 14 14" style="vertical-align:-2px" aria-hidden="true">'
        f'<rect width="14" height="14" rx="3" fill="{LINE}"/>'
        f'<circle cx="7" cy="7" r="4" fill="{fill}" stroke="{rim}" stroke-width="1.5"/></svg>'
    )
