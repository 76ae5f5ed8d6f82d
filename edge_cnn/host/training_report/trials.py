"""The trials of a search: their losses as they came, and which setting they go back to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_cnn.host.charts import FIRST, INK, SECOND, SOFT, WIDTH_INCHES, drawing, plain_ticks, svg_text
from edge_cnn.host.log_axis import round_values
from edge_cnn.host.search.records import COMPLETE, DIVERGED, SearchResult, Trial
from edge_cnn.host.training_report.section import Section, Story

_LOGARITHMIC = ("rate factor", "weight decay")

NUMBERS = 7
"""As many have room below a chart."""

_GRID = '<div style="display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));gap:1rem">'
"""Two side by side where there is room for readable letters, else one below the other."""


def trials(story: Story) -> Section | None:
    """The validation loss of each trial over time, and over each of its settings; None without a search."""
    if story.search is None:
        return None
    charts = [_over_time(story.search), *_over_values(story.search)]
    pictures = _GRID + "".join(f"<div>{chart}</div>" for chart in charts) + "</div>"
    return Section("The search", pictures, _told(story.search), wide=True)


def _over_time(search: SearchResult) -> str:
    shown = [trial for trial in search.trials if trial.val_loss is not None and math.isfinite(trial.val_loss)]
    with drawing(WIDTH_INCHES, 3.0) as figure:
        axes = figure.subplots()
        _dots(axes, [trial.number for trial in shown], shown, search.best)
        complete = [trial for trial in shown if trial.state == COMPLETE]
        lowest = np.minimum.accumulate([float(trial.val_loss or 0) for trial in complete])
        # The line goes on to the last trial.
        numbers = [*(trial.number for trial in complete), max(trial.number for trial in search.trials)]
        axes.step(numbers, [*lowest, lowest[-1]], where="post", color=FIRST, linewidth=1, label="best so far")
        axes.set_xlabel("trial")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title("lowest validation loss of each trial", color=SOFT)
        plain_ticks(axes)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.1, -0.42), ncols=4, columnspacing=1, handletextpad=0.2)
        return svg_text(figure, "Validation loss of each trial")


def _over_values(search: SearchResult) -> list[str]:
    """A chart for each parameter, the one that matters most first."""
    shown = [trial for trial in search.trials if trial.val_loss is not None and math.isfinite(trial.val_loss)]
    return [_over_one(search, shown, name) for name in list(search.importance) or list(search.best_trial.values)]


def _over_one(search: SearchResult, shown: Sequence[Trial], name: str) -> str:
    having = [trial for trial in shown if name in trial.values]
    values: list[Any] = [trial.values[name] for trial in having]
    with drawing(WIDTH_INCHES, 2.6) as figure:
        axes = figure.subplots()
        if all(isinstance(value, str | int) for value in values):
            kinds = sorted(set(values))
            _dots(axes, [kinds.index(value) for value in values], having, search.best)
            axes.set_xticks(range(len(kinds)), [str(kind) for kind in kinds])
            axes.set_xlim(-0.5, len(kinds) - 0.5)
        else:
            _dots(axes, values, having, search.best)
            if name in _LOGARITHMIC:
                axes.set_xscale("log")
                low, high = axes.get_xlim()
                marks = round_values(low, high, NUMBERS)
                axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
                axes.set_xticks([], minor=True)
        share = f", {search.importance[name]:.0%} of the variance" if name in search.importance else ""
        axes.set_title(f"validation loss by {name}{share}", color=SOFT)
        plain_ticks(axes)
        return svg_text(figure, f"Validation loss by {name}")


def _dots(axes: Any, places: Sequence[float], shown: Sequence[Trial], best: int) -> None:
    """Complete trials filled, others open, the best in orange."""
    losses = [trial.val_loss for trial in shown]
    for is_complete, face, label in ((True, FIRST, "complete"), (False, "none", "stopped early")):
        chosen = [i for i, trial in enumerate(shown) if (trial.state == COMPLETE) == is_complete]
        if chosen:
            axes.scatter(
                [places[i] for i in chosen],
                [losses[i] for i in chosen],
                s=22,
                facecolors=face,
                edgecolors=FIRST,
                linewidths=0.9,
                label=label,
            )
    at = next((i for i, trial in enumerate(shown) if trial.number == best), None)
    if at is not None:
        axes.scatter([places[at]], [losses[at]], s=46, color=SECOND, edgecolors=INK, linewidths=0.6, label="best")
    axes.set_yscale("log")


def _told(search: SearchResult) -> str:
    complete = sum(trial.state == COMPLETE for trial in search.trials)
    diverged = sum(trial.state == DIVERGED for trial in search.trials)
    stopped = len(search.trials) - complete - diverged
    settings = ", ".join(f"{name} {_plain(value)}" for name, value in search.best_trial.values.items())
    own = search.baseline
    gain = ""
    if own is not None and own.number == search.best:
        gain = "; it is the training without a search"
    elif own is not None and own.val_loss is not None:
        gain = f"; trial {own.number}, the training without a search, came to {own.val_loss:.4g}"
    share = (
        " The shares of the variance tell which settings the losses of the complete trials go back to; "
        "of few trials they are a hint."
        if search.importance
        else ""
    )
    return (
        f"{len(search.trials)} trials: {complete} complete, {stopped} stopped as worse than the median at the same "
        f"epoch, {diverged} diverged. Trial {search.best}, the best of {len(search.trials)}, had {settings}, and a "
        f"validation loss of {search.best_trial.val_loss:.4g}{gain}.{share}"
    )


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
