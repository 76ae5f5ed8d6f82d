"""Standardized features: gradient descent on raw ones crawls, since ReLU features have large means and uneven spreads.

A head on standardized features z = (x - mean) / scale is the head W' = W * scale, b' = b + W mean on raw ones, so
nothing is lost: the trained head is folded back before it is written into the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.finetuning.embedding_store import CodeTable
from edge_cnn.device.head.softmax_head import SoftmaxHead

FLOOR = 0.1
"""Smallest scale, as a share of the root mean square one: a feature that fires once in a hundred samples must not be
blown up, its weight would take the whole int8 range."""

BLOCK_VALUES = 2**16
"""Embedding values that are widened to float64 at once, 512 kB."""


@dataclass(frozen=True)
class Standardization:
    """Mean and scale of each feature.

    Attributes:
        mean, scale: float64 (features,); scale is positive.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def apply(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Raw features (n, features) -> standardized float32 (n, features)."""
        return ((embeddings - self.mean) / self.scale).astype(np.float32)

    def head_to_standardized(self, head: SoftmaxHead) -> SoftmaxHead:
        """The head on standardized features that gives the same logits as `head` on raw ones."""
        weights = head.weights.astype(np.float64)
        return SoftmaxHead(weights * self.scale, head.bias + weights @ self.mean)

    def head_to_raw(self, head: SoftmaxHead) -> SoftmaxHead:
        """The head on raw features that gives the same logits as `head` on standardized ones; biases sum to 0.

        A softmax ignores what all classes share; taking it out of the bias keeps the logits' range narrow.
        """
        weights = head.weights.astype(np.float64) / self.scale
        bias = head.bias - weights @ self.mean
        return SoftmaxHead(weights - weights.mean(axis=0), bias - bias.mean())


def block_rows(width: int) -> int:
    """Rows of so many values that are worked on at once."""
    return max(BLOCK_VALUES // width, 1)


def fit_standardization(
    embeddings: CodeTable, to_real: Callable[[NDArray[Any]], NDArray[Any]] | None = None
) -> Standardization:
    """Mean and standard deviation of each column of (n, features), the latter with a floor.

    Args:
        embeddings: real values, or codes that `to_real` turns into them; read block by block.
        to_real: codes (rows, features) -> real values; None where they are real already.
    """
    count, width = embeddings.shape
    mean, squares = np.zeros(width), np.zeros(width)
    step = block_rows(width)
    for start in range(0, count, step):
        block: NDArray[Any] = embeddings[start : start + step]
        real = (block if to_real is None else to_real(block)).astype(np.float64)
        # Chan, Golub and LeVeque 1979: no difference of large sums.
        shift = real.mean(axis=0) - mean
        squares += real.var(axis=0) * len(real) + shift**2 * (start * len(real) / (start + len(real)))
        mean += shift * (len(real) / (start + len(real)))
    deviations: NDArray[np.float64] = np.sqrt(squares / max(count, 1))
    typical = float(np.sqrt(np.mean(deviations**2)))
    floor = FLOOR * typical if typical > 0 else 1.0
    return Standardization(mean, np.maximum(deviations, floor))
