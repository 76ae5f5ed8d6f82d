"""The curve of the range test by which the learning rate was chosen."""

from __future__ import annotations

import numpy as np

from edge_cnn.host.charts import FIRST, SECOND, SOFT, WIDTH_INCHES, drawing, svg_text
from edge_cnn.host.training.rate_choice import CYCLE, RangeTest
from edge_cnn.host.training_report.section import Section, Story

HIGHEST = 2.0
"""Where the axis ends, as a multiple of the untrained network's loss; an explosion would flatten all else."""


def range_curve(story: Story) -> Section | None:
    """Loss over rate, with the edge and the choice; None where the rate was given."""
    tested = story.result.range_test
    if tested is None:
        return None
    if tested.untested:
        return Section(f"Learning rate {tested.learning_rate:g}", "", f"Not tested: {tested.reason}.")
    return Section(
        f"Learning rate {tested.learning_rate:g}, chosen",
        _chart(tested),
        f"Before the training the rate grew from step to step over {CYCLE} batches in turn, at one epoch's cost, and "
        "everything was then put back. Far left the steps are too small to change the loss, right of the edge they "
        "lead away. "
        f"Chosen: {tested.reason}.",
    )


def _chart(tested: RangeTest) -> str:
    with drawing(WIDTH_INCHES, 2.8) as figure:
        axes = figure.subplots()
        axes.plot(tested.rates, np.minimum(tested.curve, 10 * HIGHEST), color=FIRST)
        axes.set_xscale("log")
        axes.set_ylim(0, HIGHEST)
        for rate, colour, style, name in (
            (tested.edge, SOFT, "--", "the loss rises"),
            (tested.learning_rate, SECOND, "-", f"chosen: {tested.learning_rate:g}"),
        ):
            if rate is not None:
                axes.axvline(rate, color=colour, linestyle=style, linewidth=1.4, label=name)
        axes.set_xlabel("learning rate")
        axes.set_title("loss, as a share of the untrained network's", color=SOFT)
        axes.legend(loc="lower left")
        return svg_text(figure, "Range test of the learning rate")
