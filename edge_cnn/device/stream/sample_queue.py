"""The latest samples of a stream as embedding codes: the oldest go where there are too many."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import numpy as np
from numpy.typing import NDArray


class SampleQueue:
    """Embedding codes and labels in the order of their coming.

    Args:
        features: of a row.
        dtype: of the codes, as the backbone gives them.
        capacity: rows at most.
    """

    def __init__(self, features: int, dtype: np.dtype[Any], capacity: int) -> None:
        self._features, self._dtype, self._capacity = features, dtype, capacity
        # As bytes they are small, and the very thing that tells two equal ones.
        self._rows: deque[bytes] = deque()
        self._labels: deque[int] = deque()
        self._copies: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: bytes) -> bool:
        return self._copies[row] > 0

    def append(self, row: bytes, label: int) -> None:
        """Add one; of more than the capacity the oldest is forgotten."""
        self._rows.append(row)
        self._labels.append(label)
        self._copies[row] += 1
        if len(self._rows) > self._capacity:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        """Raises: IndexError: there is none."""
        gone = self._rows.popleft()
        self._labels.popleft()
        self._copies[gone] -= 1
        if not self._copies[gone]:
            del self._copies[gone]

    @property
    def codes(self) -> NDArray[Any]:
        """A copy, (n, features)."""
        return np.frombuffer(b"".join(self._rows), self._dtype).reshape(-1, self._features)

    @property
    def labels(self) -> NDArray[np.int64]:
        """A copy, int64 (n,)."""
        return np.array(self._labels, np.int64)
