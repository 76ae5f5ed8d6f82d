"""The held-out samples of a stream: they never train, and files are judged by what they answer to them.

A file answers images, not embeddings, so these are the only images that a stream keeps.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.classifier import Classifier
from edge_cnn.device.stream.sample_queue import SampleQueue

BATCH = 32

Answers = NDArray[np.int64]


class StreamHoldout:
    """Images, embedding codes and labels, with the answers of the first file and of the committed one.

    Args:
        features, dtype: of the embedding codes.
        capacity: samples at most; the oldest are forgotten.
        memory: bytes that their images may take; at least one image is kept.
    """

    def __init__(self, features: int, dtype: np.dtype[Any], capacity: int, memory: int) -> None:
        self._features, self._dtype = features, dtype
        self._limits = (capacity, memory)
        self._samples = SampleQueue(features, dtype, capacity)
        self._images: deque[NDArray[Any]] = deque(maxlen=capacity)
        self._before: deque[int] = deque(maxlen=capacity)
        self._committed: deque[int] = deque(maxlen=capacity)
        self._unasked = 0

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, row: bytes) -> bool:
        return row in self._samples

    def append(self, image: NDArray[Any], row: bytes, label: int) -> None:
        if not self._images:
            self._fit_to(image.nbytes)
        # A view would keep the array that it was cut from.
        self._images.append(image.copy())
        self._samples.append(row, label)
        self._unasked += 1

    def ask(self, before: Classifier, committed: Classifier) -> None:
        """Have both files answer what came since the last time."""
        fresh = list(self._images)[-self._unasked :] if self._unasked else []
        if not fresh:
            return
        answers = _answers(before, fresh)
        self._before.extend(answers.tolist())
        self._committed.extend((answers if committed is before else _answers(committed, fresh)).tolist())
        self._unasked = 0

    def answers_of(self, classifier: Classifier) -> Answers:
        """What a file answers to all of them: int64 (n,)."""
        return _answers(classifier, list(self._images))

    def commit(self, answers: Answers) -> None:
        """A file that gives these answers is the committed one now."""
        self._committed.clear()
        self._committed.extend(answers.tolist())

    @property
    def images(self) -> list[NDArray[Any]]:
        return list(self._images)

    @property
    def codes(self) -> NDArray[Any]:
        """(n, features)."""
        return self._samples.codes

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (n,)."""
        return self._samples.labels

    @property
    def right_before(self) -> int:
        """Samples that the first file answers right; `ask` comes first."""
        return self._right(self._before)

    @property
    def right_committed(self) -> int:
        """Samples that the committed file answers right; `ask` comes first."""
        return self._right(self._committed)

    def _right(self, answers: deque[int]) -> int:
        return int(np.count_nonzero(np.array(answers, np.int64) == self.labels))

    def _fit_to(self, image_bytes: int) -> None:
        """All images of a model have one size, and the first one tells it."""
        capacity, memory = self._limits
        fits = max(min(capacity, memory // max(image_bytes, 1)), 1)
        self._samples = SampleQueue(self._features, self._dtype, fits)
        self._images, self._before, self._committed = (deque(maxlen=fits) for _ in range(3))


def _answers(classifier: Classifier, images: list[NDArray[Any]]) -> Answers:
    parts = [
        classifier.predict(np.stack(images[start : start + BATCH])).indices for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
