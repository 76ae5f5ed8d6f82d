"""The report of a network that learned to give its input back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_cnn.host.charts import FIRST, SECOND, SOFT, WIDTH_INCHES, drawing, image_grid, svg_text
from edge_cnn.host.page_template import render
from edge_cnn.host.reconstruction import Reconstruction
from edge_cnn.host.training import EpochRecord, TrainResult
from edge_cnn.host.training_report.costs import costs_of_model
from edge_cnn.host.training_report.mistakes import visible_pixels
from edge_cnn.host.training_report.page import TEMPLATE, facts, summary
from edge_cnn.host.training_report.section import Section

PAIRS = 12
"""Inputs that are shown with what came back: half the worst, half spread over the others."""

MOST_CLASSES = 30


def reconstruction_report(
    result: TrainResult, rebuilt: Reconstruction, record: dict[str, Any], remarks: Section | None
) -> str:
    """The page as text, with what was said of the data near its end.

    Raises:
        UnavailableError: matplotlib or Jinja2 is not installed.
    """
    best = result.history[result.best_epoch]
    sections = (
        _learning(result.history),
        _by_class(rebuilt),
        costs_of_model(result.model, exports=False),
        _pairs(rebuilt),
        remarks,
    )
    return render(
        "edge_cnn.host",
        TEMPLATE,
        title=f"{result.config.architecture} on {record['data']['name']}",
        summary=summary(result),
        cards=[
            {"value": f"{rebuilt.loss:.4g}", "label": "mean squared difference on the test part"},
            {"value": f"{rebuilt.mean_loss:.4g}", "label": "the same if only the mean came back"},
            {"value": f"{best.val_loss:.4g}", "label": "on the validation part"},
            {"value": f"{result.model.count_params():,}", "label": "parameters"},
        ],
        sections=[section for section in sections if section is not None],
        facts=[{"name": name, "value": value} for name, value in facts(record).items()],
    )


def _learning(history: Sequence[EpochRecord]) -> Section:
    epochs = [record.epoch for record in history]
    with drawing(WIDTH_INCHES, 2.6) as figure:
        axes = figure.subplots()
        for key, colour, label in (("loss", FIRST, "training"), ("val_loss", SECOND, "validation")):
            axes.plot(epochs, [getattr(record, key) for record in history], color=colour, label=label)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_title("mean squared difference of output and input", color=SOFT)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper right")
        curve = svg_text(figure, "Loss by epoch")
    return Section("Learning", curve, "Epoch 0 is the untrained network; validation is on samples that no update saw.")


def _by_class(rebuilt: Reconstruction) -> Section | None:
    errors = rebuilt.class_errors
    if not 2 <= len(errors) <= MOST_CLASSES:
        return None
    with drawing(WIDTH_INCHES, 0.6 + 0.22 * len(errors)) as figure:
        axes = figure.subplots()
        axes.barh(range(len(errors)), list(errors.values()), color=FIRST, height=0.7)
        axes.set_yticks(range(len(errors)), list(errors))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("mean squared difference")
        chart = svg_text(figure, "Error by class")
    return Section(
        "What it gives back worst",
        chart,
        "By class of the test part, which the network was not told. A class that training had none of would stand out.",
    )


def _pairs(rebuilt: Reconstruction) -> Section:
    worst_first = np.argsort(-rebuilt.errors, kind="stable")
    half = min(PAIRS // 2, len(worst_first))
    others = np.linspace(half, len(worst_first) - 1, PAIRS - half).astype(int) if len(worst_first) > half else []
    rows = worst_first[[*range(half), *dict.fromkeys(int(place) for place in others)]]
    # One scale for both, so that what came back paler looks paler.
    low, high = float(rebuilt.inputs.min()), float(rebuilt.inputs.max())
    sides = (rebuilt.inputs[rows], np.clip(rebuilt.outputs[rows], low, high))
    gap = np.full((len(rows), 1, *rebuilt.inputs.shape[2:]), high, np.float32)
    pixels = visible_pixels(np.concatenate([sides[0], gap, sides[1]], axis=1))
    captions = [f"{rebuilt.errors[row]:.3g}" for row in rows]
    return Section(
        "What came back",
        image_grid(pixels, captions),
        "Above the input, below it what the network made of it, and the mean squared difference; the worst first, then "
        "the others from bad to good.",
        wide=True,
    )
