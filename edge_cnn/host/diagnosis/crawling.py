"""The steps are so small that the epochs do not suffice."""

from __future__ import annotations

import numpy as np

from edge_cnn.host.diagnosis.finding import Finding, Trajectory
from edge_cnn.host.diagnosis.learned_nothing import first_to_change
from edge_cnn.host.training.initialization import RANDOM
from edge_cnn.host.training.rate_choice import USUAL

FAR = 0.5
"""Loss, as a share of a constant answer's, above which a third of the epochs should not leave a training."""

EPOCHS_GONE, AT_LEAST = 1 / 3, 3
"""Earlier than this share of the epochs, and this number, every training has the most before it."""

STILL_FALLING, OF_LOSS, FAST = 0.05, 0.01, 0.3
"""In the second half of the way: share of the whole fall, and share of the loss; more than the last is no crawl."""

NOT_LOWEST = 1.1
"""So many times the lowest loss so far: it rose, which small steps do not do."""

NOT_SMALL = 10.0
"""So many times the optimizer's usual rate: whatever is wrong, it is not that."""


def crawling(trajectory: Trajectory) -> Finding | None:
    """Far from learned, and the loss still falls in the second half of the way.

    The way is the sum of the learning rates, not of the epochs: a cosine stands nearly still at its end.
    """
    losses, done, config = trajectory.losses, len(trajectory.losses), trajectory.config
    if config.initialization != RANDOM:
        return None  # Units that are all alike learn little at any rate.
    if done < max(AT_LEAST, EPOCHS_GONE * config.epochs) or config.peak_rate > NOT_SMALL * USUAL[config.optimizer]:
        return None
    if losses[-1] < FAR * trajectory.unlearned_loss or losses[-1] > NOT_LOWEST * losses.min():
        return None
    way = np.cumsum(trajectory.rates)
    middle = int(np.searchsorted(way, way[-1] / 2))
    fall = losses[middle] - losses[-1]
    if fall < max(OF_LOSS * losses[-1], STILL_FALLING * (losses[0] - losses[-1])) or fall > FAST * losses[middle]:
        return None
    return Finding(
        "crawling",
        f"after {done} of {config.epochs} epochs the training loss is {losses[-1]:.4g}, where a constant answer "
        f"has {trajectory.unlearned_loss:.4g}, and it is still falling, by {fall:.2g} since epoch {middle + 1}",
        _advice(trajectory),
    )


def _advice(trajectory: Trajectory) -> str:
    """A higher rate; where it is the usual one already, the epochs are too few, or too little of the network learns."""
    config = trajectory.config
    if trajectory.has_learned_nothing and (option := first_to_change(trajectory)):
        return option
    if config.peak_rate >= USUAL[config.optimizer] / 2:
        return f"--epochs {4 * config.epochs}"
    return trajectory.or_auto(trajectory.higher_rate())
