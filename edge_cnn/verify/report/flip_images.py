"""Samples that got another answer, with their images."""

from __future__ import annotations

import base64
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
        inputs: the golden inputs, images or not.
    """

    labels: tuple[str, ...]
    inputs: NDArray[Any]


def samples_of(bundle: Bundle) -> Samples | None:
    """None in a bundle without golden samples."""
    return None if bundle.golden is None else Samples(bundle.manifest.labels, bundle.golden.inputs)


def flip_figures(pair: PairedAnswers, samples: Samples | None, before: str, after: str) -> str:
    """Figures of the flips, lost answers first; empty where there are none.

    Args:
        pair: two runs over the golden samples.
        samples: names and images; None draws numbers alone.
        before, after: the two runs' names.
    """
    if not pair.flips:
        return ""
    ranked = sorted(pair.flips, key=lambda flip: (flip.before != flip.label, flip.after != flip.label, flip.sample))
    figures = "".join(_figure(flip, samples, before, after) for flip in ranked[:MAX_FLIPS])
    hidden = len(ranked) - MAX_FLIPS
    more = f'<p class="soft">and {hidden} more</p>' if hidden > 0 else ""
    count = len(ranked)
    return (
        f'<div class="across"><h3>{count} answer{"s" if count > 1 else ""} changed from {escape(before)} to '
        f"{escape(after)}: {pair.lost} right ones lost, {pair.won} won (McNemar p = {pair.p_value:.2g})</h3>"
        f'<div class="flips">{figures}</div>{more}</div>'
    )


def _figure(flip: Flip, samples: Samples | None, before: str, after: str) -> str:
    def name(index: int) -> str:
        known = samples is not None and index < len(samples.labels)
        text = samples.labels[index] if samples is not None and known else str(index)
        return f'<span class="{"good" if index == flip.label else "bad"}">{escape(text)}</span>'

    # Where one of the answers is right, its colour tells the label.
    label = "" if flip.label in (flip.before, flip.after) else f"label {name(flip.label)}<br>"
    return (
        f"<figure>{_image(flip.sample, samples)}<figcaption>{escape(before)} {name(flip.before)}<br>"
        f"{escape(after)} {name(flip.after)}<br>{label}"
        f'<span class="soft">sample {flip.sample}</span></figcaption></figure>'
    )


def _image(sample: int, samples: Samples | None) -> str:
    if samples is None or samples.inputs.dtype != np.uint8 or samples.inputs.ndim != 4:
        return ""
    image = samples.inputs[sample]
    if image.shape[2] not in (1, 3):
        return ""
    step = -(-max(image.shape[:2]) // MAX_SIDE)
    data = base64.b64encode(png_bytes(image[::step, ::step])).decode()
    return f'<img alt="golden sample {sample}" src="data:image/png;base64,{data}">'
