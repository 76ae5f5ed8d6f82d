"""All that is looked for. A new finding is one file and one row here."""

from __future__ import annotations

from collections.abc import Callable

from edge_cnn.host.diagnosis.crawling import crawling
from edge_cnn.host.diagnosis.diverging import diverging
from edge_cnn.host.diagnosis.finding import Finding, Trajectory
from edge_cnn.host.diagnosis.oscillating import oscillating
from edge_cnn.host.diagnosis.overfitting import overfitting
from edge_cnn.host.diagnosis.plateaued import plateaued

STEPS: tuple[Callable[[Trajectory], Finding | None], ...] = (diverging, crawling, oscillating, plateaued)
"""Of the size of the steps: the first that is found explains the others."""

FINDINGS: tuple[Callable[[Trajectory], Finding | None], ...] = (*STEPS, overfitting)


def diagnose(trajectory: Trajectory) -> tuple[Finding, ...]:
    """What is wrong with a training so far, worst first; empty where nothing is.

    Args:
        trajectory: so far, or to the end.
    """
    if not trajectory.history:
        return ()
    steps = next((finding for look in STEPS if (finding := look(trajectory))), None)
    return tuple(finding for finding in (steps, overfitting(trajectory)) if finding)
