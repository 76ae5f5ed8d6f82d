"""What each class gained between two runs over the same samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_cnn.verify.mcnemar import mcnemar_p_value
from edge_cnn.verify.paired_answers import PairedAnswers
from edge_cnn.verify.paired_difference import paired_difference_interval


@dataclass(frozen=True)
class ClassGain:
    """Recall of one class before and after.

    Attributes:
        label: the class, an index.
        samples: of this class, at least one.
        before, after: how many of them were answered right.
        lost: right before and wrong after.
        won: wrong before and right after.
    """

    label: int
    samples: int
    before: int
    after: int
    lost: int
    won: int

    @property
    def difference(self) -> float:
        """Recall after minus recall before, in [-1, 1]."""
        return (self.after - self.before) / self.samples

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `difference`."""
        return paired_difference_interval(self.lost, self.won, self.samples)

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test on the samples of this class, two-sided."""
        return mcnemar_p_value(self.lost, self.won)


def class_gains(pair: PairedAnswers) -> tuple[ClassGain, ...]:
    """One a class that has samples, the largest loss first, equal ones in the order of the classes."""
    labels, before, after = (np.array(part, np.int64) for part in (pair.labels, pair.before, pair.after))
    was, now = before == labels, after == labels
    members = [np.bincount(labels[which]) for which in (np.full(len(labels), True), was, now, was & ~now, now & ~was)]
    # Each count ends with the last class that has any.
    columns = [np.pad(count, (0, len(members[0]) - len(count))).tolist() for count in members]
    gains = [ClassGain(label, *row) for label, row in enumerate(zip(*columns, strict=True)) if row[0]]
    return tuple(sorted(gains, key=lambda gain: (gain.difference, gain.label)))
