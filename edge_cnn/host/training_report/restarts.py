"""What a lucky start is worth, and what lies between the two best minima."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.host.charts import FIRST, SOFT, WIDTH_INCHES, drawing, plain_ticks, svg_text
from edge_cnn.host.landscape.charts import line_chart
from edge_cnn.host.restarts.restarts import FINISHED, Restarts
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.section import Section, Story

FAINT = "#a9b6c1"


def restarts(story: Story) -> Section | None:
    """The validation loss of every training by epoch, the kept one in colour, and the spread in words."""
    several = story.restarts
    if several is None or several.asked == 1:
        return None
    unit = find_objective(several.result.config.objective).unit
    return Section("What the start was worth", _curves(several, unit), _spread(several))


def between_minima(story: Story) -> Section | None:
    """The loss on the straight line between the two best."""
    line = None if story.restarts is None else story.restarts.line
    if line is None:
        return None
    unit = find_objective(story.result.config.objective).unit
    higher = float(max(line.losses[0], line.losses[-1]))
    if line.barrier > max(0.1 * higher, 1e-3):
        found = (
            f"On the straight line from the weights of the best training to those of the second best, the loss rises "
            f"{line.barrier:.3g} above the straight line between its ends: two minima, each in a valley of its own. "
            "They may still be much the same network, as units can change places without changing what a layer gives."
        )
    else:
        found = (
            "On the straight line from the weights of the best training to those of the second best, the loss hardly "
            "rises: both ended in one valley."
        )
    return Section("Between the two best minima", line_chart(line, unit), found)


def _curves(several: Restarts, unit: str) -> str:
    with drawing(WIDTH_INCHES, 3.2) as figure:
        axes = figure.subplots()
        for number, run in enumerate(several.runs):
            if not run.history:
                continue
            kept = number == several.kept
            axes.plot(
                [record.epoch for record in run.history],
                [record.val_loss for record in run.history],
                color=FIRST if kept else FAINT,
                linewidth=2.2 if kept else 1.0,
                linestyle="-" if run.ended == FINISHED else ":",
                zorder=3 if kept else 2,
            )
            if run.best_epoch:
                axes.plot(
                    run.best_epoch,
                    run.val_loss,
                    "o",
                    color=FIRST if kept else FAINT,
                    markersize=5 if kept else 3,
                    zorder=4,
                )
        best = several.runs[several.kept]
        axes.annotate(
            "kept",
            (best.best_epoch, best.val_loss),
            xytext=(-6, -12),
            textcoords="offset points",
            ha="right",
            color=FIRST,
            weight="bold",
        )
        axes.set_yscale("log")
        axes.set_title(f"validation loss ({unit}) of {len(several.runs)} trainings", color=SOFT)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(y=0.12)
        plain_ticks(axes)
        return svg_text(figure, "Validation loss of every training by epoch")


def _spread(several: Restarts) -> str:
    losses, accuracies = several.val_losses(), several.val_accuracies()
    begun = len(several.runs)
    said = [f"{begun} trainings that differ in nothing but their random initial weights."]
    if len(losses) < begun:
        said.append(f"{begun - len(losses)} of them came to no end that compares.")
    if len(losses) > 1:
        middle = float(np.median(losses))
        said.append(
            f"Validation loss: {losses[0]:.4g} for the best, {middle:.4g} in the middle, {losses[-1]:.4g} for the "
            f"worst. So a lucky start is worth {middle - losses[0]:.2g} against a usual one."
        )
    if len(losses) > 1 and np.isfinite(accuracies).all():
        samples = len(several.result.validation_rows)
        low, high = wilson_interval(round(float(np.median(accuracies)) * samples), samples)
        said.append(
            f"Accuracy: {accuracies.min():.1%} to {accuracies.max():.1%} of {samples} validation samples; with so "
            f"many, the one in the middle stands for {low:.1%} to {high:.1%}."
        )
    said.append(
        "Only the kept one was measured on the test part; its validation loss was chosen as the lowest, and so "
        "flatters it a little. The weights have to be random: from identical ones, units of a layer cannot become "
        "different."
    )
    return " ".join(said)
