"""The seam between activations and their range: an estimator sees batches of one tensor and gives one interval."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError

Range = tuple[float, float]
"""(low, high) in the tensor's own units, low <= 0 <= high: affine quantization must represent 0 exactly, as padding and
ReLU need it (Jacob et al. 2018, section 2.1).
"""


class RangeEstimator(Protocol):
    """Told of a tensor's activations batch by batch; the order of the batches does not matter."""

    def update(self, values: NDArray[np.float32], /) -> None:
        """See more activations of the tensor: float32, any shape. Raises: ModelError: NaN or infinity among them."""
        ...

    def range(self) -> Range:
        """The interval to quantize, low <= 0 <= high; (0, 0) where nothing but zeros was seen."""
        ...


def extremes(values: NDArray[Any]) -> Range:
    """Smallest and largest of `values` and 0.

    Raises:
        ModelError: there is NaN or infinity among them.
    """
    if not values.size:
        return 0.0, 0.0
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ModelError("activations hold NaN or infinity; train the model again, or mend its weights")
    return min(low, 0.0), max(high, 0.0)
