"""Prequential accuracy: each sample of a stream first tests the model, then trains it.

Gama, Sebastiao and Rodrigues 2013, "On evaluating stream learning algorithms": over all samples the figure still bears
the mistakes of the beginning, over a sliding window it tells what the model is worth now.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW = 100
"""Samples of the sliding window: the 95 % interval of a share is then at most 20 points wide."""


@dataclass(frozen=True)
class SeenAccuracy:
    """Shares of samples that were answered right before they were learned from.

    Attributes:
        recent: of the last ones; None without any.
        window: how many those are.
        overall: of all; None without any.
        samples: how many came in all.
    """

    recent: float | None
    window: int
    overall: float | None
    samples: int


class Prequential:
    """Counts answers as they come.

    Args:
        window: samples of the sliding window.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._recent: deque[bool] = deque(maxlen=window)
        self._right = self._samples = 0

    def add(self, right: bool) -> None:
        self._recent.append(right)
        self._right += right
        self._samples += 1

    @property
    def accuracy(self) -> SeenAccuracy:
        window = len(self._recent)
        if not window:
            return SeenAccuracy(None, 0, None, 0)
        return SeenAccuracy(sum(self._recent) / window, window, self._right / self._samples, self._samples)
