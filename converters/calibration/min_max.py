"""The range of all that was seen: nothing is clipped, and one outlier widens the step of everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.calibration.range_estimator import Range, extremes


class MinMax:
    """Smallest and largest activation."""

    def __init__(self) -> None:
        self._range: Range = (0.0, 0.0)

    def update(self, values: NDArray[np.float32], /) -> None:
        low, high = extremes(values)
        self._range = min(self._range[0], low), max(self._range[1], high)

    def range(self) -> Range:
        return self._range
