"""The plane on which a data set of two numbers a sample lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages

MARGIN = 0.1
"""What is shown around the outermost points, as a share of their extent."""


@dataclass(frozen=True)
class Plane:
    """A rectangle of the plane, and what a network takes for a point of it.

    Attributes:
        low, high: corners (x, y), in the units of the inputs.
        input_shape: of one sample; its two numbers are x and y.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    input_shape: tuple[int, ...]

    def grid(self, side: int) -> NDArray[np.float32]:
        """Middles of `side` x `side` cells: float32 (side * side, *input_shape), the upper row first, left to right."""
        steps = (np.arange(side) + 0.5) / side
        x = self.low[0] + steps * (self.high[0] - self.low[0])
        y = self.high[1] - steps * (self.high[1] - self.low[1])
        points = np.stack([np.tile(x, side), np.repeat(y, side)], axis=1)
        return points.astype(np.float32).reshape(-1, *self.input_shape)

    def place(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Samples (n, *input_shape) -> (n, 2): share of the width from the left, share of the height from the top."""
        points = np.asarray(inputs, np.float64).reshape(-1, 2)
        low, high = np.array(self.low), np.array(self.high)
        shares = (points - low) / (high - low)
        return np.stack([shares[:, 0], 1 - shares[:, 1]], axis=1)


def plane_of(*parts: LabelledImages) -> Plane | None:
    """The rectangle that holds all points of some parts of a data set; None where a sample is not two numbers.

    Pixels are none: two of them are a picture, if a small one.
    """
    shape = parts[0].images.shape[1:]
    if parts[0].is_pixels or math.prod(shape) != 2:
        return None
    points = np.concatenate([part.images.reshape(-1, 2) for part in parts]).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    # Where one of the numbers is the same for all, any width will do.
    space = np.where(high > low, MARGIN * (high - low), 1.0)
    (left, bottom), (right, top) = (low - space).tolist(), (high + space).tolist()
    return Plane((left, bottom), (right, top), shape)
