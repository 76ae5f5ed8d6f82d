"""The training has ended, and a constant answer would have done as well."""

from __future__ import annotations

from edge_cnn.host.diagnosis.finding import Finding, Trajectory
from edge_cnn.host.training.initialization import RANDOM
from edge_cnn.host.training.rate_choice import USUAL

HIDDEN = 0.8
"""Validation loss, as a share of a constant answer's, below which dropout, augmentation or a first epoch's mean hide
from the training loss what was learned."""

LOW, HIGH = 0.5, 10.0
"""Of the optimizer's usual rate: outside these, the rate is the first thing to change."""


def learned_nothing(trajectory: Trajectory) -> Finding | None:
    """At the end, a training loss that is no better than a constant answer's, whatever the reason."""
    if not trajectory.ended or not trajectory.has_learned_nothing:
        return None
    unlearned = trajectory.unlearned_loss
    if trajectory.val_losses[-1] < HIDDEN * unlearned:
        return None
    other = "the untrained network" if trajectory.constant_loss is None else "a constant answer"
    return Finding(
        "learned nothing",
        f"after {len(trajectory.losses)} of {trajectory.config.epochs} epochs the training loss is "
        f"{trajectory.losses[-1]:.4g}, where {other} has {unlearned:.4g}",
        first_to_change(trajectory) or _more(trajectory),
    )


def first_to_change(trajectory: Trajectory) -> str | None:
    """What keeps a training at a constant answer's loss, as an option; None where nothing is unusual."""
    config, usual = trajectory.config, USUAL[trajectory.config.optimizer]
    if config.initialization != RANDOM:
        return f"--init {RANDOM}"  # Units that are all alike learn little at any rate.
    if trajectory.has_frozen_layers:
        return "--freeze none"
    if config.peak_rate < LOW * usual:
        return trajectory.or_auto(trajectory.higher_rate())
    if config.peak_rate > HIGH * usual:
        return trajectory.or_auto(trajectory.lower_rate())
    return None


def _more(trajectory: Trajectory) -> str:
    config = trajectory.config
    stopped = len(trajectory.losses) < config.epochs
    longer = f"--epochs {config.epochs} --patience 0" if stopped else f"--epochs {4 * config.epochs}"
    return f"{longer}, or another network with {'--arch' if config.origin is None else '--from'}"
