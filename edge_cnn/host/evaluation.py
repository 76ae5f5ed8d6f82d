"""How a classifier does on data with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages


@dataclass(frozen=True)
class Evaluation:
    """Scores beside the truth.

    Attributes:
        scores: float32 (n, classes).
        labels: int64 (n,), the truth.
        class_names: one a class.
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def answers(self) -> NDArray[np.int64]:
        """The class with the highest score, int64 (n,)."""
        return self.scores.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.mean(self.answers == self.labels))

    @property
    def confusion(self) -> NDArray[np.int64]:
        """How often (truth, answer) occurred: int64 (classes, classes)."""
        return confusion_counts(self.labels, self.answers, len(self.class_names))

    def worst_mistakes(self, count: int) -> NDArray[np.int64]:
        """Indices of wrong answers, the surest first, `count` at most."""
        wrong = np.flatnonzero(self.answers != self.labels)
        return wrong[np.argsort(-self.scores[wrong].max(axis=1), kind="stable")][:count]


def evaluate(scores: NDArray[Any], samples: LabelledImages) -> Evaluation:
    """Set scores (n, classes) beside the truth of the samples that they are for."""
    return Evaluation(np.asarray(scores, np.float32), samples.labels, samples.class_names)


def confusion_counts(labels: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How often each pair occurs: int64 (classes, classes), a row a true class, a column an answer.

    Args:
        labels: the truth, int64 (n,) in [0, classes).
        answers: what a model says, int64 (n,) in [0, classes).
        classes: how many there are.
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, answers), 1)
    return matrix
