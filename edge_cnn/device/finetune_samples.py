"""The samples of fine-tuning: checked, and split into what trains and what judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import stratified_split

MIN_SAMPLES = 10

Part = tuple[NDArray[Any], NDArray[np.int64]]
"""Embedding codes (n, features) and labels (n,)."""


def label_indices(labels: NDArray[Any] | Sequence[str], class_names: tuple[str, ...]) -> NDArray[np.int64]:
    """Class indices int64 (n,) from indices or names. Raises: DataError: unknown or out of range."""
    array = np.asarray(labels)
    if array.dtype.kind in "US":
        index = {name: i for i, name in enumerate(class_names)}
        unknown = sorted(set(array.tolist()) - set(index))
        if unknown:
            raise DataError(
                f"label {unknown[0]!r} is not one of the model's classes {', '.join(class_names)}; rename it, or "
                "name it in class_names (finetune --add-classes) to add the class"
            )
        return np.array([index[name] for name in array.tolist()], np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"labels must be class indices (n,) or names, got {array.dtype} {array.shape}; convert them")
    outside = array[(array < 0) | (array >= len(class_names))]
    if len(outside):
        raise DataError(
            f"label {int(outside[0])} is out of range, the {len(class_names)} classes are 0..{len(class_names) - 1}"
        )
    return array.astype(np.int64)


def check_samples(
    images: NDArray[Any], labels: NDArray[np.int64], class_names: tuple[str, ...], *, has_replay: bool
) -> None:
    """Raises: DataError: too few samples, or of one class only where no replayed ones stand against it."""
    if len(images) != len(labels):
        raise DataError(f"{len(images)} images but {len(labels)} labels; give one label an image")
    if len(labels) < MIN_SAMPLES:
        raise DataError(f"fine-tuning needs at least {MIN_SAMPLES} samples, got {len(labels)}; collect more")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 and not has_replay:
        raise DataError(
            f"all samples are of the class {class_names[int(classes[0])]!r}; give samples of another class as well, "
            "or of the old ones as replay"
        )
    if counts.max() < 2:
        raise DataError("no class has two samples, so none can be held out; collect more")


def rows_among(rows: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of `rows` (n, features) stand bit for bit in `others` (m, features): bool (n,)."""
    known = {row.tobytes() for row in others}
    return np.array([row.tobytes() in known for row in rows], np.bool_)


@dataclass(frozen=True)
class SplitSamples:
    """Embedding codes (n, features) and labels (n,) with the rows of two disjoint parts."""

    codes: NDArray[Any]
    labels: NDArray[np.int64]
    train_rows: NDArray[np.int64]
    holdout_rows: NDArray[np.int64]

    @property
    def train(self) -> Part:
        """What training sees."""
        return self.codes[self.train_rows], self.labels[self.train_rows]

    @property
    def holdout(self) -> Part:
        """What stops it and what judges it."""
        return self.codes[self.holdout_rows], self.labels[self.holdout_rows]


def split_samples(
    codes: NDArray[Any], labels: NDArray[np.int64], share: float, rng: np.random.Generator
) -> SplitSamples:
    """Hold out about `share` of each class; no samples give two empty parts."""
    if len(labels) == 0:
        none = np.empty(0, np.int64)
        return SplitSamples(codes, labels, none, none)
    return SplitSamples(codes, labels, *stratified_split(labels, share, rng))


def join(first: Part, second: Part) -> Part:
    """One part after the other."""
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
