"""The answers of two runs to the same samples: which changed, and whether that is more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.verify.mcnemar import mcnemar_p_value

SIGNIFICANT = 0.05
"""Largest p-value that is taken for more than chance."""


@dataclass(frozen=True)
class Flip:
    """A sample that got another answer.

    Attributes:
        sample: index among the golden samples.
        label: the true class.
        before, after: the two answers, class indices.
    """

    sample: int
    label: int
    before: int
    after: int


@dataclass(frozen=True)
class PairedAnswers:
    """Two runs over the same samples: host and device, or yesterday and today.

    Attributes:
        labels: the true classes, one a sample.
        before, after: the first best class of each sample in either run.
    """

    labels: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @cached_property
    def flips(self) -> tuple[Flip, ...]:
        """Samples with another answer, right or wrong."""
        rows = enumerate(zip(self.labels, self.before, self.after, strict=True))
        return tuple(Flip(i, label, before, after) for i, (label, before, after) in rows if before != after)

    @property
    def lost(self) -> int:
        """Samples that were right before and are wrong after."""
        return sum(flip.before == flip.label for flip in self.flips)

    @property
    def won(self) -> int:
        """Samples that were wrong before and are right after."""
        return sum(flip.after == flip.label for flip in self.flips)

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test, two-sided."""
        return mcnemar_p_value(self.lost, self.won)

    @property
    def is_significant_loss(self) -> bool:
        """Whether more right answers were lost than won, beyond chance."""
        return self.lost > self.won and self.p_value < SIGNIFICANT

    @property
    def interval_before(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy before."""
        return _interval(self.labels, self.before)

    @property
    def interval_after(self) -> tuple[float, float]:
        """95 % confidence interval of the accuracy after."""
        return _interval(self.labels, self.after)


def answers(outputs: NDArray[Any]) -> tuple[int, ...]:
    """The first best class of each row of (n, classes)."""
    # NaN is best for argmax, as it was for the caller's accuracy.
    return tuple(int(a) for a in outputs.argmax(axis=1)) if len(outputs) else ()


def paired_answers(labels: NDArray[np.int64], before: NDArray[Any], after: NDArray[Any]) -> PairedAnswers:
    """Answers of two runs from their outputs (n, classes), to samples of these labels (n,)."""
    return PairedAnswers(tuple(int(label) for label in labels), answers(before), answers(after))


def _interval(labels: tuple[int, ...], given: tuple[int, ...]) -> tuple[float, float]:
    return wilson_interval(sum(a == b for a, b in zip(labels, given, strict=True)), len(labels))
