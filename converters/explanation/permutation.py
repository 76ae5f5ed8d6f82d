"""Whether the rows of one matrix are those of another in a different order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SAME = 0.95
"""Cosine of a row with the one that it is taken for; 8-bit rounding leaves 0.999, 4 bits 0.99."""


def permutation_of(rows: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """int64 (n,), for each row of `found` its place in `rows`; None where the order is the same or the rows are not.

    Args:
        rows: (n, k).
        found: (n, k).
    """
    similar = _unit(found) @ _unit(rows).T
    order = similar.argmax(axis=1)
    if (order == np.arange(len(order))).all() or len(set(order.tolist())) < len(order):
        return None
    return order.astype(np.int64) if similar.max(axis=1).min() > _SAME else None


def some_moves(order: NDArray[np.int64]) -> str:
    """The first few that moved: '3 is 5, 5 is 3'."""
    moved = [f"{i} is {int(p)}" for i, p in enumerate(order) if i != p]
    return ", ".join(moved[:4]) + (f" and {len(moved) - 4} more" if len(moved) > 4 else "")


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
