"""The classes that are taken for each other most often, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes.

    Attributes:
        first, second: their names; the first is taken for the second at least as often as the other way.
        forth: how often the first was taken for the second.
        back: how often the second was taken for the first.
    """

    first: str
    second: str
    forth: int
    back: int

    @property
    def count(self) -> int:
        """Both ways."""
        return self.forth + self.back

    def in_words(self) -> str:
        """For example: 4 and 9, 7 times (4 taken for 9: 5, 9 for 4: 2)."""
        times = {1: "once", 2: "twice"}.get(self.count, f"{self.count} times")
        back = f", {self.second} for {self.first}: {self.back}" if self.back else ""
        return f"{self.first} and {self.second}, {times} ({self.first} taken for {self.second}: {self.forth}{back})"


def confused_pairs(
    confusion: NDArray[np.integer[Any]], class_names: Sequence[str], count: int
) -> tuple[ConfusedPair, ...]:
    """The pairs of classes that were mixed up at all, most often first.

    Args:
        confusion: integers (classes, classes); rows are the truth, columns the answer.
        class_names: one a class.
        count: of pairs, at most.
    """
    pairs: list[ConfusedPair] = []
    for one, other in combinations(range(len(class_names)), 2):
        if confusion[one, other] < confusion[other, one]:
            one, other = other, one  # the more frequent way stands first
        forth, back = int(confusion[one, other]), int(confusion[other, one])
        if forth:
            pairs.append(ConfusedPair(class_names[one], class_names[other], forth, back))
    return tuple(sorted(pairs, key=lambda pair: -pair.count)[:count])
