"""What the network sees: the filters of its first layer, and what its layers make of an image."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.charts import LINE, SOFT, image_grid, png_address
from edge_cnn.host.insight.feature_maps import FeatureMaps, feature_maps, mosaic
from edge_cnn.host.insight.filters import Filters, first_layer_filters, signed_pixels
from edge_cnn.host.insight.gratings import COLOUR, SILENT
from edge_cnn.host.training.inputs import model_inputs
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.mistakes import visible_pixels
from edge_cnn.host.training_report.section import Section, Story

FILTERS_SHOWN = 32
RIGHT_SHOWN, WRONG_SHOWN = 6, 2
LAYERS_SHOWN = 6
MOSAIC = 2
"""Maps beside each other, and below each other, of one layer."""


def filters(story: Story) -> Section | None:
    """The first layer's filters, by what they answer to."""
    found = first_layer_filters(story.result.model, FILTERS_SHOWN)
    if found is None:
        return None
    captions = found.kinds or [f"neuron {number}" for number in found.numbers]
    return Section(
        "What the first layer looks for",
        image_grid(signed_pixels(found.kernels), captions),
        _about_filters(found),
        wide=True,
    )


def _about_filters(found: Filters) -> str:
    count, height, width, channels = found.kernels.shape
    colours = (
        "Gray weights nothing, a colour weights that colour"
        if channels == 3
        else "Blue adds what lies there, orange subtracts it"
    )
    about = f"{count} filters of {found.layer}, {height}x{width} pixels each. {colours}."
    if not found.kinds:
        return (
            f"{about} Each neuron has one weight a pixel, so its weights are an image that it compares with the input."
        )
    told = f"{about} Named by what a filter answers to most: even light (brightness), or stripes of a direction"
    notes = {
        COLOUR: "colour is what gray light does not reach",
        SILENT: "a faint one has weights near 0",
    }
    return "; ".join([told, *(note for kind, note in notes.items() if kind in found.kinds)]) + "."


def maps(story: Story) -> Section | None:
    """A few test images, right and wrong ones, and the most active maps of the layers."""
    evaluation, test = story.evaluation, story.dataset.test
    if not find_objective(story.result.config.objective).classifies:
        return None
    rows = shown_rows(evaluation.labels, evaluation.answers, evaluation.worst_mistakes(WRONG_SHOWN))
    inputs = model_inputs(test.images[rows], story.result.preprocessing)
    found = feature_maps(story.result.model, inputs, layers=LAYERS_SHOWN, channels=MOSAIC**2)
    if not found:
        return None
    names = evaluation.class_names
    captions = [
        names[truth] if truth == answer else f"{names[truth]}, taken for {names[answer]}"
        for truth, answer in zip(evaluation.labels[rows], evaluation.answers[rows], strict=True)
    ]
    return Section(
        "What the layers make of an image",
        _table(visible_pixels(test.images[rows]), captions, found),
        f"From left to right deeper into the network: the {MOSAIC**2} most active filters of a layer, dark where they "
        "answer. The first layers keep edges in their places; the last ones keep little of where, and more of what.",
        wide=True,
    )


def shown_rows(labels: NDArray[np.int64], answers: NDArray[np.int64], mistakes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first right answer of each class, of the first few classes that have one; then the given mistakes.

    Args:
        labels, answers: int64 (n,).
        mistakes: rows, int64.
    """
    right = [np.flatnonzero((labels == label) & (answers == label))[:1] for label in np.unique(labels)]
    return np.concatenate([*[row for row in right if len(row)][:RIGHT_SHOWN], mistakes]).astype(np.int64)


def _table(images: NDArray[np.uint8], captions: list[str], found: tuple[FeatureMaps, ...]) -> str:
    """A row an image, a column a layer; HTML."""
    small = f"font-size:.7rem;line-height:1.25;color:{SOFT};text-align:center"
    heads = ["image", *(f"{m.layer} {m.maps.shape[1]}x{m.maps.shape[2]}" for m in found)]
    cells = [f'<div style="{small};align-self:end">{escape(head)}</div>' for head in heads]
    peaks = [m.maps.max(axis=(0, 1, 2)) for m in found]
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        cells.append(
            f'<figure style="margin:0;{small}">{_picture(image, caption)}'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
        cells += [
            _picture(mosaic(m.maps[i], peak, MOSAIC), f"{m.layer} of {caption}")
            for m, peak in zip(found, peaks, strict=True)
        ]
    columns = f"repeat({len(heads)},minmax(0,1fr))"
    style = f"display:grid;grid-template-columns:{columns};gap:.5rem .4rem;max-width:44rem"
    return f'<div style="{style}">{"".join(cells)}</div>'


def _picture(pixels: NDArray[np.uint8], text: str) -> str:
    return (
        f'<img src="{png_address(pixels)}" alt="{escape(text)}" '
        f'style="width:100%;height:auto;image-rendering:pixelated;border:1px solid {LINE}">'
    )
