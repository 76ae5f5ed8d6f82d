"""What several trainings from other initial weights came to, for a person."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from edge_cnn.cli.console import Console, table

if TYPE_CHECKING:
    from edge_cnn.host.restarts.restarts import Restarts


def note_restarts(console: Console, restarts: Restarts) -> None:
    """Say where Ctrl-C ended them."""
    if restarts.asked > 1 and restarts.interrupted and not restarts.result.interrupted:
        ended = sum(run.ended != "interrupted" for run in restarts.runs)
        console.note(f"interrupted in restart {ended + 1} of {restarts.asked}; the best of those that ended is kept")


def restarts_table(restarts: Restarts) -> str:
    """One row a training, their spread below; empty for a single one."""
    if restarts.asked == 1:
        return ""
    rows = [
        [
            str(number + 1),
            str(run.initial_seed),
            f"{run.val_loss:.4f}" if run.best_epoch else "-",
            f"{run.val_accuracy:.2%}" if math.isfinite(run.val_accuracy) else "-",
            str(run.best_epoch or "-"),
            "kept" if number == restarts.kept else "" if run.ended == "finished" else run.ended,
        ]
        for number, run in enumerate(restarts.runs)
    ]
    text = table(["restart", "initial seed", "validation loss", "accuracy", "epoch", ""], rows)
    if len(rows) < restarts.asked:
        text += f"\n{restarts.asked - len(rows)} of {restarts.asked} never began"
    losses = restarts.val_losses()
    if len(losses) < 2:
        return f"{text}\n\n"
    middle = statistics.median(losses.tolist())
    barrier = "" if restarts.line is None else f"; barrier between the two best {restarts.line.barrier:.4f}"
    return f"{text}\nvalidation loss {losses[0]:.4f} to {losses[-1]:.4f}, median {middle:.4f}{barrier}\n\n"
