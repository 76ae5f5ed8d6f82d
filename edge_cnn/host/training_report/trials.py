"""The trials of a search: their losses as they came, and which setting they go back to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_cnn.host.charts import FIRST, INK, SECOND, SOFT, WIDTH_INCHES, drawing, svg_text
from edge_cnn.host.search.records import COMPLETE, DIVERGED, SearchResult, Trial
from edge_cnn.host.training_report.section import Section, Story

_LOGARITHMIC_RATIO = 20
"""A parameter whose largest value is so many times its smallest is drawn on a logarithmic axis."""


def trials(story: Story) -> Section | None:
    """The validation loss of each trial over time, and over each of its settings; None without a search."""
    if story.search is None:
        return None
    pictures = f"<div>{_over_time(story.search)}</div><div>{_over_values(story.search)}</div>"
    return Section("The search", pictures, _told(story.search), wide=True)


def _over_time(search: SearchResult) -> str:
    shown = [trial for trial in search.trials if trial.val_loss is not None and math.isfinite(trial.val_loss)]
    with drawing(WIDTH_INCHES * 2, 2.8) as figure:
        axes = figure.subplots()
        _dots(axes, [trial.number for trial in shown], shown, search.best)
        complete = [trial for trial in shown if trial.state == COMPLETE]
        lowest = np.minimum.accumulate([float(trial.val_loss or 0) for trial in complete])
        axes.step(
            [trial.number for trial in complete], lowest, where="post", color=FIRST, linewidth=1, label="best so far"
        )
        axes.set_xlabel("trial")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title("lowest validation loss of each trial", color=SOFT)
        axes.legend(loc="upper right")
        return svg_text(figure, "Validation loss of each trial")


def _over_values(search: SearchResult) -> str:
    shown = [trial for trial in search.trials if trial.val_loss is not None and math.isfinite(trial.val_loss)]
    names = list(search.importance) or list(search.best_trial.values)
    rows = -(-len(names) // 2)
    with drawing(WIDTH_INCHES * 2, 2.3 * rows) as figure:
        every = figure.subplots(rows, 2, sharey=True, squeeze=False).ravel()
        for axes, name in zip(every, names, strict=False):
            having = [trial for trial in shown if name in trial.values]
            values: list[Any] = [trial.values[name] for trial in having]
            if any(isinstance(value, str) or float(value).is_integer() for value in values[:1]) and len(
                set(values)
            ) < len(values):
                kinds = sorted(set(values))
                _dots(axes, [kinds.index(value) for value in values], having, search.best)
                axes.set_xticks(range(len(kinds)), [str(kind) for kind in kinds])
                axes.set_xlim(-0.5, len(kinds) - 0.5)
            else:
                _dots(axes, values, having, search.best)
                if min(values) > 0 and max(values) / min(values) > _LOGARITHMIC_RATIO:
                    axes.set_xscale("log")
            share = f", {search.importance[name]:.0%} of the variance" if name in search.importance else ""
            axes.set_title(f"{name}{share}", color=SOFT)
        for axes in every[len(names) :]:
            axes.set_visible(False)
        return svg_text(figure, "Validation loss by setting")


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
    _few_ticks(axes)


def _few_ticks(axes: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=8))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)


def _told(search: SearchResult) -> str:
    complete = sum(trial.state == COMPLETE for trial in search.trials)
    diverged = sum(trial.state == DIVERGED for trial in search.trials)
    stopped = len(search.trials) - complete - diverged
    settings = ", ".join(f"{name} {_plain(value)}" for name, value in search.best_trial.values.items())
    first = search.trials[0].val_loss
    gain = "" if first is None else f"; the first trial, without a search, came to {first:.4g}"
    share = (
        " The shares of the variance tell which settings the losses of the complete trials go back to."
        if search.importance
        else ""
    )
    return (
        f"{len(search.trials)} trials: {complete} complete, {stopped} stopped as worse than the median at the same "
        f"epoch, {diverged} diverged. The best, trial {search.best}, had {settings}, and a validation loss of "
        f"{search.best_trial.val_loss:.4g}{gain}.{share}"
    )


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
