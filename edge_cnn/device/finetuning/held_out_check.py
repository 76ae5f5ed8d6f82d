"""What the two files themselves answer to the held-out samples, which are read once more for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.data import FinetuneData
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_store import CodeView
from edge_cnn.device.finetuning.result import HeldOutAnswers
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.writing import logit_error, logits_of_file
from edge_cnn.device.sample_source import SampleSource


@dataclass(frozen=True)
class HeldOutCheck:
    """The tuned file against the one before, and against the head that it was made of.

    Attributes:
        answers: of both files.
        float_head_accuracy: of the head in real values.
        max_logit_error: largest difference between its logits and the file's, of those above `LOGITS_FLOOR`.
    """

    answers: HeldOutAnswers
    float_head_accuracy: float
    max_logit_error: float


def check_held_out(
    before: Classifier,
    tuned: Classifier,
    head: SoftmaxHead,
    embedder: Embedder,
    samples: SampleSource,
    data: FinetuneData,
    batch: int,
) -> HeldOutCheck:
    """Run both files on the held-out new samples, some at a time.

    Args:
        before, tuned: the two classifiers.
        head: what was written into the second, for raw embeddings.
        embedder: the backbone of both.
        samples: the source.
        data: which of them are held out, and their embeddings.
        batch: images at once.

    Raises:
        DataError: an image cannot be read any more.
    """
    rows = data.rows[data.new.holdout]
    codes, labels = data.new_holdout()
    logits = logits_of_file(tuned.artifact, tuned)
    answers: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    error, right = 0.0, 0
    for start in range(0, len(rows), batch):
        where = slice(start, start + batch)
        images, read = samples.read(rows[where])
        if len(read) != len(rows[where]):
            raise DataError("images have gone while the model was tuned with them; start again")
        for found, opened in zip(answers, (before, tuned), strict=True):
            found.append(opened.predict(images).indices)
        meant = head.logits(embedder.to_real(codes[where]))
        right += int(np.count_nonzero(meant.argmax(axis=1) == labels[where]))
        error = max(error, logit_error(logits(images), meant))
    found = HeldOutAnswers(rows, labels, *(np.concatenate(answer) for answer in answers))
    return HeldOutCheck(found, right / len(rows), error)


def share_right(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Share of right answers (n,)."""
    return int(np.count_nonzero(answers == labels)) / len(labels)


def file_accuracy(head: SoftmaxHead, codes: CodeView, labels: NDArray[np.int64], embedder: Embedder) -> float | None:
    """Share of embeddings that a head, as the file's codes represent it, answers right; None without any."""
    if not len(labels):
        return None
    right = 0
    for start, real in embedder.real_blocks(codes):
        right += int(np.count_nonzero(head.logits(real).argmax(axis=1) == labels[start : start + len(real)]))
    return right / len(labels)
