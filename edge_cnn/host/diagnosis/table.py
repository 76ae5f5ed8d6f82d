"""All that is looked for. A new finding is one file and one row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge_cnn.host.diagnosis.crawling import crawling
from edge_cnn.host.diagnosis.diverging import diverging
from edge_cnn.host.diagnosis.finding import Finding, Trajectory
from edge_cnn.host.diagnosis.learned_nothing import learned_nothing
from edge_cnn.host.diagnosis.oscillating import oscillating
from edge_cnn.host.diagnosis.overfitting import overfitting
from edge_cnn.host.diagnosis.plateaued import plateaued

STEPS: tuple[Callable[[Trajectory], Finding | None], ...] = (
    diverging,
    crawling,
    oscillating,
    plateaued,
    learned_nothing,
)
"""Of the way down: the first that is found explains the others."""

FINDINGS: tuple[Callable[[Trajectory], Finding | None], ...] = (*STEPS, overfitting)


def diagnose(trajectory: Trajectory) -> tuple[Finding, ...]:
    """What is wrong with a training so far, worst first; empty where nothing is.

    Args:
        trajectory: so far, or to the end.
    """
    if not trajectory.history:
        return ()
    way = next((finding for look in STEPS if (finding := look(trajectory))), None)
    return tuple(finding for finding in (way, overfitting(trajectory)) if finding)


def passed(trajectory: Trajectory) -> str:
    """What a training that ended well was on its way, as `diagnose` said it then: "crawling in epoch 3"; else empty.

    Args:
        trajectory: to the end.
    """
    epochs: dict[str, int] = {}
    for count in range(2, len(trajectory.history)):
        so_far = replace(trajectory, history=trajectory.history[:count], ended=False, diverged=False)
        for finding in diagnose(so_far):
            epochs.setdefault(finding.name, so_far.history[-1].epoch)
    return " and ".join(f"{name} in epoch {epoch}" for name, epoch in epochs.items())
