"""Identical initial weights beside random ones: units that cannot become different."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.charts import FIRST, SECOND, SOFT, WIDTH_INCHES, drawing, plain_ticks, svg_text
from edge_cnn.host.restarts.symmetry import Course, Symmetry
from edge_cnn.host.training.initialization import IDENTICAL
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.section import Section, Story

_SIDE_BY_SIDE = "display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:1rem 2rem;align-items:end"

SHOWN = 48
"""So many units, and weights of each, are drawn at most."""


def symmetry(story: Story) -> Section | None:
    """Loss of both, the weights of a hidden layer of both, and how many different units each layer has in the end."""
    if story.symmetry is None:
        return None
    found, unit = story.symmetry, find_objective(story.result.config.objective).unit
    pictures = f'<div style="{_SIDE_BY_SIDE}">{_losses(found, unit)}{_weights(found)}</div>'
    return Section(f"What {found.initialization} initial weights come to", pictures, _words(found), wide=True)


def _losses(found: Symmetry, unit: str) -> str:
    with drawing(WIDTH_INCHES, 2.8) as figure:
        axes = figure.subplots()
        for course, colour, label in ((found.chosen, SECOND, found.initialization), (found.beside, FIRST, "random")):
            if course is not None:
                epochs = [record.epoch for record in course.history]
                axes.plot(epochs, [record.val_loss for record in course.history], color=colour, label=label)
        axes.set_yscale("log")
        axes.set_title(f"validation loss ({unit}) from {found.initialization} and from random weights", color=SOFT)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="lower left")
        plain_ticks(axes)
        return svg_text(figure, "Validation loss by epoch from both starts")


def _weights(found: Symmetry) -> str:
    """The last hidden layer whose units could differ and did not, one row a unit."""
    layer = _pictured(found)
    sides = [(found.initialization, found.chosen), *([("random", found.beside)] if found.beside else [])]
    with drawing(WIDTH_INCHES, 2.8) as figure:
        figures: list[Any] = list(np.atleast_1d(figure.subplots(1, len(sides))))
        for axes, (label, course) in zip(figures, sides, strict=True):
            rows: NDArray[Any] = course.weights[layer][:SHOWN, :SHOWN]
            reach = max(float(np.abs(rows).max()), 1e-12)
            axes.imshow(rows, cmap=_diverging(), vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest")
            axes.grid(visible=False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(f"{label}: {len(np.unique(course.weights[layer], axis=0))} different", color=SOFT)
            axes.set_xlabel("weights of a unit")
        figures[0].set_ylabel(f"units of {layer}")
        return svg_text(figure, f"Weights of the units of {layer} from both starts")


def _diverging() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("orange-blue", [SECOND, "white", FIRST])


def _pictured(found: Symmetry) -> str:
    last = found.chosen.epochs[-1]
    alike = [i for i in last.hidden if last.distinct[i] == 1] or last.hidden or [0]
    return last.layers[alike[-1]]


def _words(found: Symmetry) -> str:
    last = found.chosen.epochs[-1]
    layers = [f"{last.layers[i]} {last.distinct[i]} of {last.counts[i]}" for i in range(len(last.layers))]
    alike = [i for i in last.hidden if last.distinct[i] == 1]
    broken = [last.layers[i] for i in last.hidden if last.distinct[i] > 1]
    said = ["A demonstration, not a way to train."]
    if found.initialization == IDENTICAL:
        said.append(
            "All weights of a layer began as one number. Units that begin alike get the same and are blamed for the "
            "same, so each update moves them alike."
        )
    else:
        said.append(
            "All weights began as 0: nothing passes forwards, so no layer but the last is blamed for anything, and "
            "only its biases learn how frequent the classes are."
        )
    said.append(f"Different units in the end, bit for bit: {', '.join(layers)}.")
    if alike:
        gap = max(units.gaps[i] for units in found.chosen.epochs for i in alike)
        which = "each" if len(alike) == len(last.hidden) else str(len(alike))
        said.append(
            f"In {which} of the {len(last.hidden)} hidden layers all units are one after every epoch (largest "
            f"difference ever: {gap:g}). Those of the last layer become different, as the labels tell them apart."
        )
    if broken:
        said.append(
            f"Not in {', '.join(broken)}: dropout switches units off one by one, which tells those before it apart. "
            "Augmentation does not, as it changes what all units see alike."
        )
    if found.beside is not None:
        said.append(_comparison(found.chosen, found.beside))
    return " ".join(said)


def _comparison(chosen: Course, beside: Course) -> str:
    best, other = (min(record.val_loss for record in course.history) for course in (chosen, beside))
    return f"Lowest validation loss: {best:.4g}; from random weights, all else the same: {other:.4g}."
