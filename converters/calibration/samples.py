"""The samples that set the ranges of activations: from training data only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.table import DEFAULT_METHOD
from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages, stratified_sample
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training.inputs import model_inputs

DEFAULT_SAMPLES = 500
MIN_SAMPLES = 20
"""With fewer, the ranges of a MinMax calibration depend on chance."""
HELD_OUT_SAMPLES = 200
"""How many further training samples, at most, tell how much of new data the ranges would clip."""


@dataclass(frozen=True)
class Calibration:
    """Model inputs for calibration.

    Attributes:
        inputs: float32 (n, height, width, channels).
        method: a row of `table.ESTIMATORS`.
        labels: int64 (n,), None where they are not known.
        held_out: other inputs of the training part, which no range has seen, float32 (m, height, width, channels); None
            where there are none.
        ranges: tensor index of the source's float graph -> (low, high), where training or the correction of biases has
            set them; None where the samples do.
    """

    inputs: NDArray[np.float32]
    method: str = DEFAULT_METHOD
    labels: NDArray[np.int64] | None = None
    held_out: NDArray[np.float32] | None = None
    ranges: Mapping[int, tuple[float, float]] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def provenance(self) -> dict[str, Any]:
        """What a manifest says of it, JSON values."""
        return {"samples": len(self), "part": "train", "method": self.method, "fingerprint": self.fingerprint()}

    def fingerprint(self) -> str:
        """SHA-256 over shape and values."""
        digest = hashlib.sha256(repr(self.inputs.shape).encode())
        digest.update(np.ascontiguousarray(self.inputs).tobytes())
        return digest.hexdigest()


def choose_calibration(
    train: LabelledImages,
    preprocessing: Preprocessing,
    count: int,
    rng: np.random.Generator,
    method: str = DEFAULT_METHOD,
) -> Calibration:
    """Choose `count` samples (all, if there are fewer) of the training part, every class in its share.

    Args:
        train: the training part of the data; the test part must never come here.
        preprocessing: of the model.
        count: how many samples, at least `MIN_SAMPLES`.
        rng: source of the choice.
        method: a row of `table.ESTIMATORS`.

    Raises:
        DataError: too few samples, another shape than the model's, NaN or infinity, or all samples the same.
    """
    if count < MIN_SAMPLES:
        raise DataError(f"{count} calibration samples are too few, at least {MIN_SAMPLES} are needed; ask for more")
    if len(train) < MIN_SAMPLES:
        raise DataError(
            f"the calibration data has {len(train)} training samples, at least {MIN_SAMPLES} are needed; give more data"
        )
    order = stratified_sample(train.labels, count + HELD_OUT_SAMPLES, rng)
    chosen, others = order[:count], order[count:]
    inputs = model_inputs(train.images[chosen], preprocessing)
    if np.all(inputs == inputs[:1]):
        raise DataError(
            f"the {len(inputs)} calibration samples are all the same, so they say nothing of the ranges; give real data"
        )
    held_out = model_inputs(train.images[others], preprocessing) if len(others) else None
    return Calibration(inputs, method, train.labels[chosen], held_out)
