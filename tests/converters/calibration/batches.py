"""What the tests of estimators share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from converters.calibration.range_estimator import Range, RangeEstimator

# Not so small that a power of two times it leaves what float32 holds exactly.
VALUES = st.floats(-1e6, 1e6, width=32, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-20 else x)
BATCHES = st.lists(arrays(np.float32, st.integers(0, 40), elements=VALUES), min_size=1, max_size=6)


def told(estimator: RangeEstimator, batches: Iterable[np.ndarray]) -> Range:
    """What the estimator says after all batches."""
    for batch in batches:
        estimator.update(batch)
    return estimator.range()


def bell(count: int = 200_000, seed: int = 0) -> np.ndarray:
    """Activations before a ReLU: a heavy-tailed bell, off centre, float32 (count,)."""
    rng = np.random.default_rng(seed)
    return (rng.standard_t(4, count) + 0.7).astype(np.float32)
