"""How sure an accuracy is that was measured on so many samples."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""The normal deviate that 2.5 % exceed."""


def wilson_interval(hits: int, samples: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, from `hits` of `samples`: lowest and highest share, in [0, 1].

    The score interval (Wilson 1927, JASA 22:209), which unlike the common p +- 2 s keeps its promise near 0 and 1 and
    with few samples (Brown, Cai and DasGupta 2001). Without samples it is all of [0, 1].
    """
    if samples == 0:
        return 0.0, 1.0
    share, z2 = hits / samples, Z_95**2
    middle = share + z2 / (2 * samples)
    half = Z_95 * math.sqrt(share * (1 - share) / samples + z2 / (4 * samples**2))
    scale = 1 + z2 / samples
    # Of none and of all the end is exact; floats would miss it by a rounding.
    low = 0.0 if hits == 0 else (middle - half) / scale
    high = 1.0 if hits == samples else (middle + half) / scale
    return low, high
