"""The methods that set ranges, by name: a new one is one file and one row here."""

from __future__ import annotations

from collections.abc import Callable

from converters.calibration.entropy import Entropy
from converters.calibration.min_max import MinMax
from converters.calibration.mse import Mse
from converters.calibration.percentile import Percentile
from converters.calibration.range_estimator import RangeEstimator
from edge_cnn.core.errors import InputError

ESTIMATORS: dict[str, Callable[[], RangeEstimator]] = {
    "min-max": MinMax,
    "percentile": Percentile,
    "mse": Mse,
    "entropy": Entropy,
}
"""`--calibration-method` -> what makes an estimator for one tensor, for 8-bit codes with any zero point."""

DEFAULT_METHOD = "percentile"
"""What answered most like the float model among the four, see docs/calibration.md."""


def new_estimator(method: str) -> RangeEstimator:
    """Raises: InputError: no such method."""
    if method not in ESTIMATORS:
        raise InputError(f"unknown calibration method {method!r}; known: {', '.join(ESTIMATORS)}")
    return ESTIMATORS[method]()
