"""How far a network's confidence is to be believed (Guo et al. 2017, On Calibration of Modern Neural Networks)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of equal width, as in Guo et al. 2017, so that figures compare with published ones."""

LUCK_DRAWS = 500

TEMPERATURES = (0.05, 20.0)
"""Where the mending temperature is looked for; at an end the samples do not say where it is."""


@dataclass(frozen=True)
class Calibration:
    """Confidence beside accuracy; confidence is the highest score of an answer.

    Attributes:
        counts: answers in each bin of confidence, int64 (bins,).
        confidences, accuracies: mean of each bin, float64 (bins,); NaN where it is empty.
        error: expected calibration error, the mean over all answers of their bin's |accuracy - confidence|.
        luck: the error that confidences which are exactly right would show on as many samples, 95 times of 100 or less.
    """

    counts: NDArray[np.int64]
    confidences: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    error: float
    luck: float

    @property
    def confidence(self) -> float:
        """Mean over all answers."""
        return float(np.nansum(self.counts * self.confidences) / self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.nansum(self.counts * self.accuracies) / self.counts.sum())


def measure_calibration(
    scores: NDArray[np.floating], labels: NDArray[np.int64], *, bins: int = BINS, seed: int = 0
) -> Calibration:
    """Sort the answers into bins of confidence and set the accuracy of each beside it.

    What so few samples show by luck alone is found by drawing answers that are right exactly as often as the network
    says (consistency resampling, Bröcker and Smith 2007); an error below that is no evidence of anything.

    Args:
        scores: (n, classes), each row sums to 1; n is at least 1.
        labels: the truth, int64 (n,).
        bins: of equal width over [0, 1]; each takes in its upper end.
        seed: of the draws.
    """
    confidence = np.asarray(scores, np.float64).max(axis=1)
    right = scores.argmax(axis=1) == labels
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    counts = np.bincount(bin_of, minlength=bins)
    sure, hits = (np.bincount(bin_of, weights, bins) for weights in (confidence, right))
    some = np.maximum(counts, 1)
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(bin_of, rng.random(len(labels)) < confidence, bins) for _ in range(LUCK_DRAWS)]
    by_luck = np.abs(np.array(drawn) - sure).sum(axis=1) / len(labels)
    empty = np.where(counts > 0, 0.0, np.nan)
    return Calibration(
        counts.astype(np.int64),
        sure / some + empty,
        hits / some + empty,
        float(np.abs(hits - sure).sum() / len(labels)),
        float(np.quantile(by_luck, 0.95)),
    )


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float | None:
    """The T by which the logits are divided for the least cross-entropy; over 1 where the network is too sure.

    The cross-entropy is convex in 1/T, so its slope is bisected. No answer changes. Fit it on other samples than it is
    judged on (Guo et al. 2017, section 4.2).

    Args:
        logits: (n, classes), or any logarithm of the scores.
        labels: int64 (n,).

    Returns:
        T, or None where the best one lies outside `TEMPERATURES`: without a single mistake no confidence is too high.
    """
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    truth = logits[np.arange(len(labels)), labels]

    def slope(temperature: float) -> float:
        """Of the cross-entropy, by 1/T."""
        powers = np.exp(logits / temperature)
        return float(np.mean((powers * logits).sum(axis=1) / powers.sum(axis=1) - truth))

    low, high = TEMPERATURES
    # By 1/T the slope rises: below 0 wants a smaller T, above 0 a larger one.
    if slope(low) < 0 or slope(high) > 0:
        return None
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float(np.sqrt(low * high))


def tempered(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Scores (n, classes) of logits (n, classes) divided by `temperature`."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
