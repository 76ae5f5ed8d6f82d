"""What a diagnosis looks at, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.training.class_weights import weights_of_classes
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.objectives import CROSS_ENTROPY, find_objective
from edge_cnn.host.training.rate_choice import USUAL
from edge_cnn.host.training.records import EpochRecord, TrainResult

NOTHING_LEARNED = 0.95
"""As a share of the loss of a constant answer."""


@dataclass(frozen=True)
class Finding:
    """Something to know of a training.

    Attributes:
        name: diverging, crawling, oscillating, plateaued, overfitting, or learned nothing.
        evidence: what shows it, with figures.
        advice: the next thing to try, as options of `edge-cnn train` with values.
    """

    name: str
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}; try {self.advice}"

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "evidence": self.evidence, "advice": self.advice}


@dataclass(frozen=True)
class Trajectory:
    """A training so far.

    Attributes:
        history: the untrained network first.
        config: with a learning rate that is a number, or the optimizer's own.
        constant_loss: of the best answer that is the same for every input; None where there is none to compare with.
        diverged: whether a loss that is not finite ended it.
        auto_rate: whether a range test chose the learning rate.
        ended: whether no epoch comes after.
    """

    history: tuple[EpochRecord, ...]
    config: TrainConfig
    constant_loss: float | None
    diverged: bool = False
    auto_rate: bool = False
    ended: bool = False

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Training loss of each epoch but the untrained network's: float64 (epochs,)."""
        return np.array([record.loss for record in self.history[1:]])

    @cached_property
    def val_losses(self) -> NDArray[np.float64]:
        """As `losses`, of the validation part."""
        return np.array([record.val_loss for record in self.history[1:]])

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """Learning rate at the end of each epoch: float64 (epochs,)."""
        return np.array([record.learning_rate for record in self.history[1:]])

    @property
    def unlearned_loss(self) -> float:
        """What a network has that learned nothing."""
        return self.history[0].loss if self.constant_loss is None else self.constant_loss

    @property
    def has_learned_nothing(self) -> bool:
        """Whether the last training loss is not clearly better than a constant answer's."""
        return len(self.history) > 1 and self.history[-1].loss >= NOTHING_LEARNED * self.unlearned_loss

    @property
    def has_frozen_layers(self) -> bool:
        """Whether layers of a trained network stay as they are."""
        return self.config.origin is not None and len(self.config.origin.frozen) > 0

    def lower_rate(self) -> str:
        """An option that asks for a lower learning rate, or the optimizer's usual one where that is lower still."""
        return f"--learning-rate {min(self.config.peak_rate / 5, USUAL[self.config.optimizer]):.2g}"

    def higher_rate(self) -> str:
        """The other way."""
        return f"--learning-rate {max(self.config.peak_rate * 5, USUAL[self.config.optimizer]):.2g}"

    def or_auto(self, option: str) -> str:
        """The option, or the range test where it was not what chose the rate."""
        return option if self.auto_rate else f"{option} or --learning-rate auto"


def constant_loss(config: TrainConfig, labels: NDArray[np.int64], class_names: Sequence[str]) -> float | None:
    """Loss of answering every input with the classes' weighted shares, which is the best of all constant answers.

    Without class weights, the entropy of the shares for cross-entropy, and 1 - sum of their squares for the squared
    error; None without classes.

    Args:
        config: objective and class weights.
        labels: int64 (n,).
        class_names: one a class.

    Raises:
        InputError: a weight for a class that is none.
    """
    if not find_objective(config.objective).classifies:
        return None
    weights = weights_of_classes(config.class_weights, class_names, labels).astype(np.float64)
    masses = weights * np.bincount(labels, minlength=len(class_names)) / len(labels)
    masses = masses[masses > 0]
    shares = masses / masses.sum()
    if config.objective == CROSS_ENTROPY:
        return float(-(masses * np.log(shares)).sum())
    return float(masses.sum() * (1 - (shares**2).sum()))


def trajectory_of(result: TrainResult, samples: LabelledImages) -> Trajectory:
    """What there is to diagnose of a training that has ended.

    Args:
        result: of the training.
        samples: that it was given.
    """
    known: Any = samples.labels[result.fit_rows]
    loss = constant_loss(result.config, known, samples.class_names)
    auto_rate = result.range_test is not None
    return Trajectory(result.history, result.config, loss, result.diverged, auto_rate, ended=True)
