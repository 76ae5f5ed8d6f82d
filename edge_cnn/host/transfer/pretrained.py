"""What a training may start from: a trained network, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.core.preprocessing import Preprocessing


@dataclass(frozen=True)
class Pretrained:
    """A trained network.

    Attributes:
        model: `keras.Model`, float32 (n, height, width, channels) -> anything; stays as it is.
        name: of the file, or `keras:` and the name of the application.
        sha256: of the file that holds its weights.
        preprocessing: from pixels to its input.
        labels: class names of its scores; None where they are not known.
    """

    model: Any
    name: str
    sha256: str
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None
