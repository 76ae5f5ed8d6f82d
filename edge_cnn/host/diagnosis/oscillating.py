"""The steps go from one side of a valley to the other."""

from __future__ import annotations

import numpy as np

from edge_cnn.host.diagnosis.finding import Finding, Trajectory

WINDOW = 8
"""Epochs that are looked at."""

RISES, SIZE = 3, 0.1
"""How many of them rose, and their mean rise as a share of a constant answer's loss."""

PROGRESS = 0.5
"""A training whose loss fell to less than this share within the window goes down in spite of its jumps."""


def oscillating(trajectory: Trajectory) -> Finding | None:
    """The training loss goes up and down from epoch to epoch, by much, and comes to little."""
    losses = trajectory.losses[-WINDOW - 1 :]
    if len(losses) <= WINDOW:
        return None
    changes = np.diff(losses)
    rises = changes[changes > SIZE / 5 * trajectory.unlearned_loss]
    if len(rises) < RISES or rises.mean() < SIZE * trajectory.unlearned_loss:
        return None
    if losses[-RISES:].mean() < PROGRESS * losses[:RISES].mean():
        return None
    return Finding(
        "oscillating",
        f"the training loss rose in {len(rises)} of the last {WINDOW} epochs, by {rises.mean():.2g} on average, "
        f"between {losses.min():.4g} and {losses.max():.4g}",
        f"{trajectory.lower_rate()} or --batch-size {2 * trajectory.config.batch_size}",
    )
