"""The last layer as a value: softmax regression on frozen features.

Loss for n embeddings z with labels y, with L2 on every parameter (Bishop 2006, eq. 4.108):

    L(W, b) = -1/n sum_i log softmax(W z_i + b)[y_i] + l2/2 (|W|^2 + |b|^2)

It is convex in (W, b), strongly convex for l2 > 0, and its gradient is (softmax(Wz+b) - onehot(y)) z^T / n + l2 W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SoftmaxHead:
    """A fully-connected layer before a softmax.

    Attributes:
        weights: float (classes, features).
        bias: float (classes,).
    """

    weights: NDArray[np.floating[Any]]
    bias: NDArray[np.floating[Any]]

    @property
    def classes(self) -> int:
        return int(self.weights.shape[0])

    @property
    def features(self) -> int:
        return int(self.weights.shape[1])

    def logits(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Embeddings (n, features) -> logits (n, classes)."""
        return embeddings @ self.weights.T + self.bias

    def loss(self, embeddings: NDArray[np.floating[Any]], labels: NDArray[np.int64], l2: float) -> float:
        """Mean cross-entropy in nats plus the L2 term."""
        log_probabilities = log_softmax(self.logits(embeddings))
        picked = log_probabilities[np.arange(len(labels)), labels]
        penalty = float(np.vdot(self.weights, self.weights) + np.vdot(self.bias, self.bias))
        return float(-picked.mean()) + 0.5 * l2 * penalty

    def gradient(self, embeddings: NDArray[np.floating[Any]], labels: NDArray[np.int64], l2: float) -> SoftmaxHead:
        """Gradient of `loss`, in the shape of a head."""
        residual = softmax(self.logits(embeddings))
        residual[np.arange(len(labels)), labels] -= 1.0
        residual /= len(labels)
        return SoftmaxHead(residual.T @ embeddings + l2 * self.weights, residual.sum(axis=0) + l2 * self.bias)

    def step(
        self, embeddings: NDArray[np.floating[Any]], labels: NDArray[np.int64], rate: float, l2: float
    ) -> SoftmaxHead:
        """One step of gradient descent: W - rate * dL/dW."""
        gradient = self.gradient(embeddings, labels, l2)
        return SoftmaxHead(self.weights - rate * gradient.weights, self.bias - rate * gradient.bias)


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Rows (n, classes) -> probabilities (n, classes), without overflow."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Rows (n, classes) -> log-probabilities (n, classes), without overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
