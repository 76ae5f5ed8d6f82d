"""Mini-batch gradient descent with momentum on the softmax head (Polyak 1964; Bottou 2012).

The step comes from the curvature: the Hessian of the loss is at most 1/2 times the feature covariance (Böhning
1992), so 1/L with L = lambda_max / 2 + l2 is stable without tuning. It decays linearly to zero: the iterates settle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.device.softmax_head import SoftmaxHead

POWER_ITERATIONS = 30


@dataclass(frozen=True)
class SgdConfig:
    """Settings of the descent.

    Attributes:
        epochs: passes over the data at most.
        batch_size: samples a step.
        learning_rate: None takes 1/L from the curvature.
        momentum: share of the last step that is kept, in [0, 1).
        l2: weight of the squared norm of all parameters on standardized features.
        patience: epochs without a lower held-out loss before it stops; None never stops early.
    """

    epochs: int = 100
    batch_size: int = 32
    learning_rate: float | None = None
    momentum: float = 0.9
    l2: float = 1e-3
    patience: int | None = 20

    def __post_init__(self) -> None:
        checks = (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch size", self.batch_size >= 1, "at least 1"),
            ("learning rate", self.learning_rate is None or 0 < self.learning_rate < np.inf, "positive"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("l2", 0 < self.l2 < np.inf, "positive"),
            ("patience", self.patience is None or self.patience >= 1, "at least 1"),
        )
        for name, fine, wanted in checks:
            if not fine:
                raise InputError(f"fine-tuning: {name} must be {wanted}; change it")


@dataclass(frozen=True)
class EpochLoss:
    """One pass: number from 1, mean training loss over its steps, held-out loss (NaN without held-out data)."""

    epoch: int
    loss: float
    holdout_loss: float


@dataclass(frozen=True)
class TrainedHead:
    """What the descent found.

    Attributes:
        head: of the epoch with the lowest held-out loss, or of the last one without held-out data.
        steps: gradient steps taken.
        learning_rate: of the first step.
        history: one entry an epoch.
    """

    head: SoftmaxHead
    steps: int
    learning_rate: float
    history: tuple[EpochLoss, ...]


def train_head(
    start: SoftmaxHead,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    config: SgdConfig,
    rng: np.random.Generator,
    holdout: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
    on_epoch: Callable[[EpochLoss], None] = lambda _: None,
) -> TrainedHead:
    """Descend from `start` on standardized embeddings.

    Args:
        start: initial parameters.
        embeddings: standardized (n, features).
        labels: int64 (n,) in [0, classes).
        config: settings.
        rng: source of the sample order; the same state gives the same head.
        holdout: (embeddings, labels) for early stopping.
        on_epoch: told of each epoch.

    Raises:
        InputError: no samples, or the loss is no longer finite.
    """
    count = len(labels)
    if count == 0:
        raise InputError("fine-tuning needs at least one training sample; give more data")
    rate = config.learning_rate or 1.0 / smoothness(embeddings, config.l2)
    ones = np.ones((count, 1), np.float32)
    # Bias as a column of ones: one product a step. Updated in place: this is the hot loop.
    features = np.hstack([embeddings.astype(np.float32), ones])
    parameters = np.hstack([start.weights, start.bias[:, None]]).astype(np.float32)
    velocity = np.zeros_like(parameters)
    targets = np.eye(start.classes, dtype=np.float32)[labels]
    batch = min(config.batch_size, count)
    per_epoch = -(-count // batch)
    total = per_epoch * config.epochs
    best, best_loss, stale, step = parameters.copy(), np.inf, 0, 0
    history: list[EpochLoss] = []
    for epoch in range(1, config.epochs + 1):
        order = rng.permutation(count)
        losses = 0.0
        # A diverging run overflows; the check below says so in words.
        with np.errstate(over="ignore", invalid="ignore"):
            for begin in range(0, count, batch):
                chosen = order[begin : begin + batch]
                z, t = features[chosen], targets[chosen]
                logits = z @ parameters.T
                logits -= logits.max(axis=1, keepdims=True)
                np.exp(logits, out=logits)
                logits /= logits.sum(axis=1, keepdims=True)
                losses -= float(np.log(np.maximum((logits * t).sum(axis=1), 1e-30)).sum())
                logits -= t
                gradient = logits.T @ z
                gradient /= len(chosen)
                gradient += config.l2 * parameters
                velocity *= config.momentum
                velocity -= rate * (1.0 - step / total) * gradient
                parameters += velocity
                step += 1
        if not np.isfinite(parameters).all():
            raise InputError(
                f"fine-tuning diverged in epoch {epoch} with learning rate {rate:.3g}; "
                "leave the learning rate to the default or divide it by 10"
            )
        head = SoftmaxHead(parameters[:, :-1], parameters[:, -1])
        holdout_loss = head.loss(holdout[0], holdout[1], config.l2) if holdout else float("nan")
        history.append(EpochLoss(epoch, losses / count, holdout_loss))
        on_epoch(history[-1])
        if holdout is None:
            best = parameters
        elif holdout_loss < best_loss:
            best, best_loss, stale = parameters.copy(), holdout_loss, 0
        else:
            stale += 1
            if config.patience is not None and stale >= config.patience:
                break
    return TrainedHead(SoftmaxHead(best[:, :-1], best[:, -1]), step, rate, tuple(history))


def smoothness(embeddings: NDArray[Any], l2: float) -> float:
    """Lipschitz constant of the loss's gradient: half the largest eigenvalue of the covariance of [z, 1], plus l2.

    Böhning 1992: the Hessian of softmax regression is at most (I - 11^T/C)/2 kron Z^T Z / n. The eigenvalue comes from
    power iteration, which approaches it from below, hence the margin.
    """
    features = np.hstack([embeddings.astype(np.float64), np.ones((len(embeddings), 1))])
    vector = np.ones(features.shape[1]) / np.sqrt(features.shape[1])
    eigenvalue = 1.0
    for _ in range(POWER_ITERATIONS):
        image = features.T @ (features @ vector) / len(features)
        eigenvalue = float(np.linalg.norm(image))
        if eigenvalue == 0.0:
            return 1.0 + l2
        vector = image / eigenvalue
    return 0.5 * 1.05 * eigenvalue + l2
