"""From the classes that a model knows to those that it shall know: which stay, which come, which go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError

NEW = -1
"""Source of a class that the model does not know yet."""


@dataclass(frozen=True)
class ClassChange:
    """The new classes in their order.

    Attributes:
        labels: names of the new classes, in the order of the output.
        sources: for each new class its index among the old ones, `NEW` for one that was not there.
        before: number of old classes.
    """

    labels: tuple[str, ...]
    sources: tuple[int, ...]
    before: int

    @property
    def added(self) -> tuple[int, ...]:
        """Indices of the classes that were not there."""
        return tuple(i for i, source in enumerate(self.sources) if source == NEW)

    @property
    def is_none(self) -> bool:
        """Whether the classes stay as they are."""
        return self.sources == tuple(range(self.before))

    def rows(self, old: NDArray[np.generic], fill: NDArray[np.generic]) -> NDArray[np.generic]:
        """The first axis of `old` (old classes, ...) in the new order, `fill` (broadcast) for a class that is new."""
        result = np.empty((len(self.sources), *old.shape[1:]), old.dtype)
        for row, source in enumerate(self.sources):
            result[row] = fill if source == NEW else old[source]
        return result

    def labels_after(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Old class indices (n,) as new ones, `NEW` for a class that goes."""
        table = np.full(self.before, NEW, np.int64)
        for new, source in enumerate(self.sources):
            if source != NEW:
                table[source] = new
        return table[labels]


def change_classes(old: Sequence[str], new: Sequence[str]) -> ClassChange:
    """The change from the class names `old` to `new`; equal names are the same class.

    Raises:
        InputError: fewer than two classes, a name twice or empty, or not one of the old classes stays.
    """
    names = tuple(new)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the class {twice[0]!r} is named twice; name each class once")
    if len(names) < 2:
        raise InputError(f"a classifier has two classes or more, got {len(names)}; name more")
    if any(not name.strip() or name.splitlines() != [name] for name in names):
        raise InputError("a class name is empty or has a line break in it; label files hold one name a line")
    places = {name: index for index, name in enumerate(old)}
    sources = tuple(places.get(name, NEW) for name in names)
    if set(sources) == {NEW}:
        raise InputError(
            f"none of the model's classes {', '.join(old)} is among the new ones; keep one, or train another model"
        )
    return ClassChange(names, sources, len(old))
