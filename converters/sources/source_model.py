"""A float classifier, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.preprocessing import Preprocessing

_BATCH = 256


@dataclass(frozen=True)
class SourceModel:
    """A float classifier, whatever file it came from.

    Attributes:
        name: of the file, without its suffix.
        function: a tf.function, float32 (n, height, width, channels) -> float32 (n, classes).
        image_shape: (height, width, channels) of its input.
        classes: width of its output.
        labels: class names, None where the file has none beside it.
        preprocessing: from pixels to its input, None where the file has none beside it.
        training: what `training.json` says of its making, JSON values.
    """

    name: str
    function: Any
    image_shape: tuple[int, int, int]
    classes: int
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    training: dict[str, Any] = field(default_factory=dict[str, Any])

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Model inputs (n, height, width, channels) -> outputs (n, classes)."""
        chunks = [np.asarray(self.function(inputs[i : i + _BATCH])) for i in range(0, len(inputs), _BATCH)]
        return np.concatenate(chunks).astype(np.float32, copy=False)
