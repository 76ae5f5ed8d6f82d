"""The steps are so large that they lead away."""

from __future__ import annotations

from edge_cnn.host.diagnosis.finding import Finding, Trajectory
from edge_cnn.host.training.initialization import RANDOM

RISEN = 1.25
"""As a multiple of the lowest epoch's loss: the first epochs of a good training waver by a tenth."""

DEAD = 0.01
"""As a share of the first epoch's gradients: every neuron is saturated or shut, and nothing brings it back."""


def diverging(trajectory: Trajectory) -> Finding | None:
    """A loss that is not finite, or one no better than a constant answer that has risen or whose gradients are dead."""
    losses, advice = trajectory.losses, trajectory.or_auto(trajectory.lower_rate())
    if trajectory.diverged:
        evidence = f"the loss was not finite in epoch {len(trajectory.history)}, at a peak rate of "
        return Finding("diverging", f"{evidence}{trajectory.config.peak_rate:g}", advice)
    if len(losses) < 2 or not trajectory.has_learned_nothing:
        return None
    constant = f"a constant answer has {trajectory.unlearned_loss:.4g}"
    if losses[-1] > RISEN * losses.min():
        lowest = int(losses.argmin()) + 1
        evidence = (
            f"the training loss rose from {losses.min():.4g} in epoch {lowest} to {losses[-1]:.4g}, and {constant}"
        )
        return Finding("diverging", evidence, advice)
    if trajectory.config.initialization != RANDOM:
        return None  # Units that are all alike have no gradients to lose.
    share = _gradients_left(trajectory)
    if share < DEAD:
        evidence = (
            f"the training loss is {losses[-1]:.4g}, {constant}, and the gradients below the last layer have shrunk to "
            f"{share:.1g} of the first epoch's: its steps have saturated or shut every neuron"
        )
        return Finding("diverging", evidence, advice)
    return None


def _gradients_left(trajectory: Trajectory) -> float:
    """Largest share of the first epoch's gradient that a layer but the last still has; 1 where that is not known."""
    first, last = trajectory.history[1].gradient_norms, trajectory.history[-1].gradient_norms
    layers = list(first)[:-1]
    return max((last[name] / first[name] for name in layers if first[name] > 0), default=0.0) if layers else 1.0
