"""The held-out samples of a stream: they never train, and files are judged by what they answer to them.

A file answers images, not embeddings, so these are the only images that a stream keeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.embedding import BATCH
from edge_cnn.device.stream.sample_queue import SampleQueue

Answers = NDArray[np.int64]


class StreamHoldout:
    """Images, embedding codes and labels, with the answers of the first file and of the committed one.

    Args:
        features, dtype: of the embedding codes.
        capacity: samples at most; the oldest are forgotten.
        memory: bytes that their images may take; at least one image is kept.
    """

    def __init__(self, features: int, dtype: np.dtype[Any], capacity: int, memory: int) -> None:
        self._capacity, self._memory = capacity, memory
        self._samples = SampleQueue(features, dtype, capacity)
        self._images: deque[NDArray[Any]] = deque()
        self._bytes = 0
        # Of the oldest samples; the newest have not been asked yet.
        self._before: deque[int] = deque()
        self._committed: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, row: bytes) -> bool:
        return row in self._samples

    def append(self, image: NDArray[Any], row: bytes, label: int) -> None:
        """Add one; the oldest are forgotten where it does not fit beside them."""
        while self._images and (len(self) >= self._capacity or self._bytes + image.nbytes > self._memory):
            self._forget_oldest()
        # A view would keep the array that it was cut from.
        self._images.append(image.copy())
        self._bytes += image.nbytes
        self._samples.append(row, label)

    def ask(self, before: Classifier, committed: Classifier) -> None:
        """Have both files answer what came since the last time."""
        fresh = self.images[len(self._before) :]
        if not fresh:
            return
        answers = _answers(before, fresh)
        self._before.extend(answers.tolist())
        self._committed.extend((answers if committed is before else _answers(committed, fresh)).tolist())

    def answers_of(self, classifier: Classifier) -> Answers:
        """What a file answers to all of them: int64 (n,)."""
        return _answers(classifier, self.images)

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

    def _forget_oldest(self) -> None:
        self._bytes -= self._images.popleft().nbytes
        self._samples.forget_oldest()
        if self._before:
            self._before.popleft()
            self._committed.popleft()


def batches(images: Sequence[NDArray[Any]]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Neighbouring images of one dtype and shape as arrays (n, ...), `BATCH` at most, each with where it starts.

    A stream may mix uint8 pixels with float model inputs, and pixels made floats would be taken for model inputs.
    """
    start = 0
    while start < len(images):
        first = images[start]
        end = start + 1
        while end < min(start + BATCH, len(images)) and _is_alike(images[end], first):
            end += 1
        yield start, np.stack(images[start:end])
        start = end


def _is_alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape


def _answers(classifier: Classifier, images: list[NDArray[Any]]) -> Answers:
    parts = [classifier.predict(batch).indices for _, batch in batches(images)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
