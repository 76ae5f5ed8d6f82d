"""Samples that got another answer, with their images."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.bundle import Bundle
from edge_cnn.verify.paired_answers import Flip, PairedAnswers
from edge_cnn.verify.report.png import png_bytes

MAX_FLIPS = 24
"""Images of one cell; the rest are counted. A page with thousands of them would open on no phone."""

MAX_SIDE = 256
"""Pixels; larger images are thinned out to about this, since they are shown as large as a thumb."""


@dataclass(frozen=True)
class Samples:
    """What a flip is drawn with.

    Attributes:
        labels: class names.
        inputs: gives the samples at int64 (k,) indices: uint8 (k, height, width, channels), or floats that are no
            images; asked once, for those that are drawn. None has no images.
        name: what a sample is called, by its index.
    """

    labels: tuple[str, ...]
    inputs: Callable[[NDArray[np.int64]], NDArray[Any]] | None
    name: Callable[[int], str] = "sample {}".format


def samples_of(bundle: Bundle) -> Samples | None:
    """None in a bundle without golden samples."""
    golden = bundle.golden
    return None if golden is None else Samples(bundle.manifest.labels, lambda rows: golden.inputs[rows])


def flip_figures(pair: PairedAnswers, samples: Samples | None, before: str, after: str) -> str:
    """Figures of the flips, lost answers first; empty where there are none.

    Args:
        pair: two runs over the same samples.
        samples: names and images; None draws numbers alone.
        before, after: the two runs' names.
    """
    if not pair.flips:
        return ""
    ranked = sorted(pair.flips, key=lambda flip: (flip.before != flip.label, flip.after != flip.label, flip.sample))
    shown = ranked[:MAX_FLIPS]
    images = _images(np.array([flip.sample for flip in shown]), samples)
    figures = "".join(_figure(flip, image, samples, before, after) for flip, image in zip(shown, images, strict=True))
    hidden = len(ranked) - MAX_FLIPS
    more = f'<p class="soft">and {hidden} more</p>' if hidden > 0 else ""
    count = len(ranked)
    return (
        f'<div class="across"><h3>{count} answer{"s" if count > 1 else ""} changed from {escape(before)} to '
        f"{escape(after)}: {pair.lost} right ones lost, {pair.won} won (McNemar p = {pair.p_value:.2g})</h3>"
        f'<div class="flips">{figures}</div>{more}</div>'
    )


def _figure(flip: Flip, image: NDArray[Any] | None, samples: Samples | None, before: str, after: str) -> str:
    def name(index: int) -> str:
        known = samples is not None and index < len(samples.labels)
        text = samples.labels[index] if samples is not None and known else str(index)
        return f'<span class="{"good" if index == flip.label else "bad"}">{escape(text)}</span>'

    # Where one of the answers is right, its colour tells the label.
    label = "" if flip.label in (flip.before, flip.after) else f"label {name(flip.label)}<br>"
    called = escape(samples.name(flip.sample) if samples is not None else f"sample {flip.sample}")
    return (
        f"<figure>{'' if image is None else _picture(image, called)}<figcaption>{escape(before)} {name(flip.before)}"
        f'<br>{escape(after)} {name(flip.after)}<br>{label}<span class="soft">{called}</span></figcaption></figure>'
    )


def _images(rows: NDArray[np.int64], samples: Samples | None) -> list[NDArray[Any] | None]:
    """The samples at `rows` that can be drawn, None for each that cannot."""
    inputs = samples.inputs(rows) if samples is not None and samples.inputs is not None else None
    if inputs is None or inputs.dtype != np.uint8 or inputs.ndim != 4 or inputs.shape[3] not in (1, 3):
        return [None] * len(rows)
    return list(inputs)


def _picture(image: NDArray[Any], called: str) -> str:
    step = -(-max(image.shape[:2]) // MAX_SIDE)
    data = base64.b64encode(png_bytes(image[::step, ::step])).decode()
    return f'<img alt="{called}" src="data:image/png;base64,{data}">'
