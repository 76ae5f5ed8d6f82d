"""Signal to quantization noise ratio: one number for how much of a tensor survived."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sqnr_db(reference: NDArray[Any], computed: NDArray[Any]) -> float:
    """10 log10 of the reference's power over that of the error, in dB.

    Infinite where both are equal, minus infinite where the reference is all 0 and the other is not, or where the
    computed values are not finite. A bit of resolution is worth 6.02 dB.

    Args:
        reference, computed: real values of the same shape.
    """
    wanted = reference.astype(np.float64)
    error = computed.astype(np.float64) - wanted
    if not np.isfinite(error).all():
        return -math.inf
    signal, noise = float((wanted * wanted).sum()), float((error * error).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
