"""Whether a drop on few samples is beyond its bound, or chance."""

from __future__ import annotations

import math

SIGNIFICANCE = 0.05


def within_chance(drop: float, samples: int, bound: float) -> bool:
    """Whether a drop is within the bound, or no more beyond it than chance makes one that is.

    The one-sided exact binomial test at 5 %: were each sample lost with the probability `bound`, would as many be lost
    in one of twenty draws or more? A bound of 0 leaves nothing to chance.

    Args:
        drop: share of the samples that was lost on balance.
        samples: how many there are.
        bound: largest drop that is fine.
    """
    lost, rate = round(drop * samples), min(max(bound, 0.0), 1.0)
    fewer = sum(math.comb(samples, k) * rate**k * (1 - rate) ** (samples - k) for k in range(max(lost, 0)))
    return 1 - fewer >= SIGNIFICANCE
