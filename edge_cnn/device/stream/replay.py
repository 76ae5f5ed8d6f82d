"""Replayed samples beside a stream: what the model shall not forget, as embedding codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.data import stored_replay
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.samples import labels_among

Part = tuple[NDArray[Any], NDArray[np.int64]]
"""Embedding codes (n, features) and labels (n,)."""

HOLDOUT_EVERY = 5
"""Of each class every fifth sample is held out, the second one first: one to train with comes before it."""


def is_held_out(number: int) -> bool:
    """Whether the sample that is the `number`-th of its class, from 0, judges instead of training."""
    return number % HOLDOUT_EVERY == 1


class StreamReplay:
    """Embedding codes and labels of the old task, in two parts.

    Of samples with equal codes the first one counts, so that no copy of what judges trains.

    Args:
        codes: (n, features).
        labels: int64 (n,).
    """

    def __init__(self, codes: NDArray[Any], labels: NDArray[np.int64]) -> None:
        self._codes, self._labels = codes, labels
        self._held = np.zeros(len(labels), np.bool_)
        self._stays = np.ones(len(labels), np.bool_)
        self._places: dict[bytes, int] = {}
        counts: dict[int, int] = {}
        for place, (row, label) in enumerate(zip(codes, labels.tolist(), strict=True)):
            if self._places.setdefault(row.tobytes(), place) != place:
                self._stays[place] = False
                continue
            self._held[place] = is_held_out(counts.get(label, 0))
            counts[label] = counts.get(label, 0) + 1

    def __len__(self) -> int:
        return int(np.count_nonzero(self._stays))

    def leave_out(self, row: bytes) -> None:
        """Forget the sample with these codes, if it is there: the stream has brought it, and may hold it out."""
        place = self._places.get(row)
        if place is not None:
            self._stays[place] = False

    @property
    def train(self) -> Part:
        """What trains."""
        chosen = self._stays & ~self._held
        return self._codes[chosen], self._labels[chosen]

    @property
    def holdout(self) -> Part:
        """What judges."""
        chosen = self._stays & self._held
        return self._codes[chosen], self._labels[chosen]


def open_replay(classifier: Classifier, embedder: Embedder, given: LabelledImages | None) -> StreamReplay:
    """Those given, else those that the bundle stores of this backbone and preprocessing, else none.

    Raises:
        DataError: a label that the model does not know, or images of another shape.
    """
    if given is not None:
        return StreamReplay(embedder.codes(given.images), labels_among(given, classifier.labels))
    stored = stored_replay(classifier)
    if stored is not None:
        return StreamReplay(stored.embeddings[classifier.artifact.name], stored.labels.astype(np.int64))
    spec = embedder.split.info.embedding
    return StreamReplay(np.empty((0, embedder.split.info.features), spec.numpy_dtype), np.empty(0, np.int64))


def join(first: Part, second: Part) -> Part:
    """One part after the other."""
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
