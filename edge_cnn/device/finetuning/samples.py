"""The samples of fine-tuning: checked, and split into what trains and what judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import stratified_split
from edge_cnn.device.sample_source import SampleSource

MIN_SAMPLES = 10


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
        twice = sorted(name for name in set(array.tolist()) if class_names.count(name) > 1)
        if twice:
            raise DataError(
                f"{class_names.count(twice[0])} of the model's classes are called {twice[0]!r}, so the name does not "
                "tell which; give class indices"
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


def labels_among(source: SampleSource, class_names: tuple[str, ...]) -> NDArray[np.int64]:
    """The source's labels as indices into `class_names`. Raises: DataError: a class that is not among these."""
    if source.class_names == class_names:
        return label_indices(source.labels, class_names)
    return label_indices([source.class_names[int(label)] for label in source.labels], class_names)


def check_labels(labels: NDArray[np.int64], class_names: tuple[str, ...], *, has_replay: bool) -> None:
    """Raises: DataError: too few samples, or of one class only where no replayed ones stand against it."""
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


@dataclass(frozen=True)
class SplitSamples:
    """Samples in two disjoint parts.

    Attributes:
        at: int64 (n,), rows of the table of embeddings.
        labels: int64 (n,).
        train: int64 (k,), which of the n are trained on.
        holdout: int64 (m,), which stop the training and judge it.
    """

    at: NDArray[np.int64]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    holdout: NDArray[np.int64]


def split_samples(
    at: NDArray[np.int64], labels: NDArray[np.int64], share: float, rng: np.random.Generator
) -> SplitSamples:
    """Hold out about `share` of each class; no samples give two empty parts."""
    if len(labels) == 0:
        none = np.empty(0, np.int64)
        return SplitSamples(at, labels, none, none)
    return SplitSamples(at, labels, *stratified_split(labels, share, rng))
