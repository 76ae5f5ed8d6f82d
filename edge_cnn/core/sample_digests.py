"""Which samples are the same, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FEW_VALUES = 64
"""Of a sample: they tell nearly all apart, so that few need be read whole."""


def content_hashes(inputs: NDArray[Any]) -> list[bytes]:
    """A digest of each sample's values."""
    return [hashlib.blake2b(np.ascontiguousarray(sample).data, digest_size=16).digest() for sample in inputs]


def overlap(inputs: NDArray[Any], others: NDArray[Any]) -> int:
    """How many of `inputs` are among `others`, bit for bit; both (n, ...) of one shape and dtype."""
    return sum(len(rows) for rows, others_rows in groups_of_equal(inputs, others) if rows and others_rows)


def groups_of_equal(*parts: NDArray[Any]) -> list[tuple[list[int], ...]]:
    """Samples that are there more than once, within a part or across parts.

    Args:
        parts: arrays (n, ...) of one dtype; samples of another shape are never equal.

    Returns:
        for each such sample its rows in each part, in order of their first places.
    """
    alike: dict[bytes, list[tuple[int, int]]] = {}
    for index, part in enumerate(parts):
        for row, key in enumerate(_few_values(part)):
            alike.setdefault(key, []).append((index, row))
    equal: dict[bytes, list[tuple[int, int]]] = {}
    for places in (places for places in alike.values() if len(places) > 1):
        for index, row in places:
            (digest,) = content_hashes(parts[index][row : row + 1])
            equal.setdefault(repr(parts[index].shape[1:]).encode() + digest, []).append((index, row))
    return [
        tuple([row for index, row in places if index == part] for part in range(len(parts)))
        for places in equal.values()
        if len(places) > 1
    ]


def one_of_each(rows: Sequence[int], labels: NDArray[np.int64]) -> list[int]:
    """The first of `rows` with each label."""
    first: dict[int, int] = {}
    for row in rows:
        first.setdefault(int(labels[row]), row)
    return list(first.values())


def _few_values(part: NDArray[Any]) -> list[bytes]:
    flat = part.reshape(len(part), -1)
    some = np.ascontiguousarray(flat[:, :: max(1, flat.shape[1] // _FEW_VALUES)])
    return [row.tobytes() for row in some]
