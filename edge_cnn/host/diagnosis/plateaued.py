"""Nothing gets better although the learning rate is still high."""

from __future__ import annotations

from edge_cnn.host.diagnosis.finding import Finding, Trajectory
from edge_cnn.host.diagnosis.learned_nothing import first_to_change

AT_LEAST, SHARE = 6, 0.2
"""Epochs without progress: this number, and this share of all."""

BETTER = 0.01
"""Less of a fall than this share of the loss is none."""

LEARNED = 0.05
"""Below this share of a constant answer's loss there is little left to learn."""

HIGH = 0.1
"""As a share of the peak; below it a schedule lets the loss come to rest on purpose."""


def plateaued(trajectory: Trajectory) -> Finding | None:
    """The lowest training loss is as old as a fifth of the training."""
    losses, config = trajectory.losses, trajectory.config
    window = max(AT_LEAST, round(SHARE * config.epochs))
    if len(losses) <= window or losses[-1] < LEARNED * trajectory.unlearned_loss:
        return None
    before, since = losses[:-window].min(), losses[-window:].min()
    if since < (1 - BETTER) * before or trajectory.rates[-window:].mean() < HIGH * config.peak_rate:
        return None
    advice = "--schedule plateau" if config.schedule == "constant" else trajectory.lower_rate()
    advice = f"{advice}, or a larger network with --arch"
    if trajectory.has_learned_nothing:
        advice = first_to_change(trajectory) or advice
    return Finding(
        "plateaued",
        f"the training loss was {before:.4g} at its lowest {window} epochs ago, and not below {since:.4g} since",
        advice,
    )
