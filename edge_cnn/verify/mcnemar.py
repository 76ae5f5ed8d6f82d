"""McNemar's exact test: did paired answers get worse or better, or is it chance?"""

from __future__ import annotations

import math


def mcnemar_p_value(lost: int, won: int) -> float:
    """Two-sided p-value of the exact test, in (0, 1].

    Samples that both sides answer alike say nothing. Were both sides equally good, each of the others would be lost or
    won like the toss of a coin, so their number is binomial (McNemar 1947; exact form as in Agresti, Categorical Data
    Analysis, 10.1.1).

    Args:
        lost: samples that were right before and are wrong now.
        won: samples that were wrong before and are right now.
    """
    tosses = lost + won
    # Integers of any size, so that no tail underflows or cancels.
    tail = sum(math.comb(tosses, k) for k in range(min(lost, won) + 1))
    return min(1.0, 2 * tail / 2**tosses)
