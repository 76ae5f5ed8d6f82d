"""The network learns its samples by heart."""

from __future__ import annotations

from edge_cnn.host.diagnosis.finding import Finding, Trajectory

AT_LEAST, SHARE = 3, 0.1
"""Epochs since the lowest validation loss: this number, and this share of all."""

RISEN, OF_CONSTANT = 1.2, 0.02
"""Validation loss as a multiple of its lowest, and its rise as a share of a constant answer's loss."""

LEARNED = 0.5
"""As a share of a constant answer's loss: who knows less by heart has another trouble."""

FALLEN = 0.9
"""Training loss as a share of what it was then."""


def overfitting(trajectory: Trajectory) -> Finding | None:
    """The validation loss rises while the training loss goes on falling."""
    losses, val_losses, config = trajectory.losses, trajectory.val_losses, trajectory.config
    if len(losses) == 0:
        return None
    best = int(val_losses.argmin())
    lowest, since = val_losses[best], len(losses) - 1 - best
    if since < max(AT_LEAST, SHARE * config.epochs) or losses[-1] > FALLEN * losses[best]:
        return None
    if losses[-1] > LEARNED * trajectory.unlearned_loss:
        return None
    if val_losses[-1] < max(RISEN * lowest, lowest + OF_CONSTANT * trajectory.unlearned_loss):
        return None
    ways = [] if config.augmentation else ["--augment handwriting or photos"]
    ways.append(f"--weight-decay {max(10 * (config.weight_decay or 0), 0.001):g}")
    return Finding(
        "overfitting",
        f"the validation loss rose from {lowest:.4g} in epoch {best + 1} to {val_losses[-1]:.4g}, while the training "
        f"loss fell from {losses[best]:.4g} to {losses[-1]:.4g}; the weights of the lowest validation loss are kept",
        f"{' and '.join(ways)}, or more samples",
    )
