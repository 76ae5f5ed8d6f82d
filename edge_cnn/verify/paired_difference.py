"""How sure a difference of two accuracies is that were measured on the same samples."""

from __future__ import annotations

import math

from edge_cnn.core.confidence_interval import Z_95


def paired_difference_interval(lost: int, won: int, samples: int) -> tuple[float, float]:
    """The 95 % confidence interval of (share right after) - (share right before): its ends, in [-1, 1].

    Wald's interval after 1/2 was added to each of the four cells right/wrong before x right/wrong after (Agresti and
    Min 2005, Statistics in Medicine 24:729, section 3), since with few samples the plain one is too narrow, and of no
    changes at all it would make a certainty. Without samples it is all of [-1, 1].

    Args:
        lost: samples that were right before and are wrong after.
        won: samples that were wrong before and are right after.
        samples: all of them, those that did not change as well.
    """
    if samples == 0:
        return -1.0, 1.0
    total, fewer, more = samples + 2.0, lost + 0.5, won + 0.5
    middle = (more - fewer) / total
    half = Z_95 * math.sqrt((more + fewer) / total - middle**2) / math.sqrt(total)
    return max(middle - half, -1.0), min(middle + half, 1.0)
