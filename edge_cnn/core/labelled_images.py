"""Images or model inputs with labels: what every data set, folder and `.npz` becomes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError


@dataclass(frozen=True)
class LabelledImages:
    """Samples of a data set.

    Attributes:
        images: uint8 pixels (n, height, width, channels), channels 1 or 3; or float32 model inputs (n, ...).
        labels: int64 (n,), indices into `class_names`.
        class_names: one a class.
        sources: file name of each sample, empty where there is none.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(f"{len(self.images)} images but {len(self.labels)} labels; give one label an image")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_pixels(self) -> bool:
        return self.images.dtype == np.uint8

    def select(self, indices: NDArray[Any]) -> LabelledImages:
        """The samples at `indices` (integers or a boolean mask), in that order."""
        chosen: list[int] = np.arange(len(self))[indices].tolist()
        sources = tuple(self.sources[i] for i in chosen) if self.sources else ()
        return LabelledImages(self.images[chosen], self.labels[chosen], self.class_names, sources)

    def read(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The images at `rows`, and the rows that could be read: here all of them."""
        return self.images[rows], rows

    def name_of(self, row: int) -> str:
        """What a person knows the sample by: its file, or its number."""
        return self.sources[row] if self.sources else f"sample {row}"

    def fingerprint(self) -> str:
        """SHA-256 over shape, dtype, pixels, labels and class names."""
        digest = hashlib.sha256(repr((self.images.shape, self.images.dtype.str, self.class_names)).encode())
        digest.update(np.ascontiguousarray(self.images).tobytes())
        digest.update(np.ascontiguousarray(self.labels, np.int64).tobytes())
        return digest.hexdigest()


def stratified_split(
    labels: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of two disjoint parts, the second with about `share` of each class and at least one of a class with two.

    Args:
        labels: int64 (n,).
        share: in (0, 1).
        rng: source of the shuffle; the same state gives the same split.
    """
    first: list[NDArray[np.int64]] = []
    second: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = _held_out(len(members), share)
        second.append(members[:count])
        first.append(members[count:])
    return rng.permutation(np.concatenate(first)), rng.permutation(np.concatenate(second))


def held_out(labels: NDArray[np.int64], share: float) -> int:
    """How many samples `stratified_split` puts into its second part.

    Args:
        labels: int64 (n,).
        share: in (0, 1).
    """
    return sum(_held_out(int(count), share) for count in np.bincount(labels) if count)


def _held_out(members: int, share: float) -> int:
    return min(max(round(share * members), 1), members - 1)


def stratified_sample(labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of `count` samples (of all, if there are fewer) with every class in its share, classes interleaved.

    Args:
        labels: int64 (n,).
        count: how many to choose.
        rng: source of the choice; the same state gives the same samples.
    """
    # The k-th of a class with m members stands at (k + u) / m: any prefix of the order has each class in its share.
    position = np.empty(len(labels), np.float64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(position, kind="stable")[:count]
