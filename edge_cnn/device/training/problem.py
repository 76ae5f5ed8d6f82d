"""The problem that fine-tuning solves: softmax regression on frozen features, drawn towards a head by L2.

For parameters V = [W, b] (classes, features + 1), rows z with a 1 at their end, and an anchor A of the same shape

    F(V) = cross-entropy(V z) + l2/2 |V - A|^2

is convex and l2-strongly convex: it has one minimum, and |gradient|^2 / (2 l2) bounds the distance to it from anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.training.cross_entropy import CrossEntropy, softmax_in_place
from edge_cnn.device.training.embedding_rows import BLOCK_VALUES, EmbeddingRows, each_block, over_blocks

Parameters = NDArray[np.float32]

EXACT_VALUES = 2**16
"""Values that are widened to float64 at once, 512 kB."""

SMALL_PRODUCT = 10**6
"""Multiplications of a product up to which OpenBLAS repacks no operand: for few classes a third of the time."""

LEAST_ROWS = 24
"""Of a block; fewer would cost more to sum than that saves."""


@dataclass(frozen=True)
class HeadProblem:
    """Samples, targets and regularization.

    Attributes:
        rows: standardized embeddings.
        labels: int64 (n,) in [0, classes).
        anchor: float32 (classes, features + 1), where L2 draws the parameters to.
        l2: strength of that, positive.
        weights: of the samples, float (n,) with mean 1, or None where all are 1.
        smoothing: share of each target that is spread over all classes, in [0, 1).
        threads: that work at once; results do not depend on it.
    """

    rows: EmbeddingRows
    labels: NDArray[np.int64]
    anchor: Parameters
    l2: float
    weights: NDArray[np.floating] | None = None
    smoothing: float = 0.0
    threads: int = 1

    @property
    def samples(self) -> int:
        return self.rows.samples

    @property
    def classes(self) -> int:
        return len(self.anchor)

    @cached_property
    def cross_entropy(self) -> CrossEntropy:
        return CrossEntropy(self.labels, self.classes, self.weights, self.smoothing)

    @property
    def thin_rows(self) -> int:
        """Rows whose product with a head is a small one."""
        return SMALL_PRODUCT // (self.classes * self.rows.width)

    @property
    def _block_values(self) -> int:
        """Of the blocks for one product with each."""
        thin = self.thin_rows * self.rows.width
        return min(thin, BLOCK_VALUES) if self.thin_rows >= LEAST_ROWS else BLOCK_VALUES

    def logits(self, parameters: Parameters) -> NDArray[np.float32]:
        """Parameters -> logits of all samples, class-major (classes, n)."""
        logits = np.empty((self.classes, self.samples), np.float32)
        alone = self.rows.codes_alone
        rows = self.rows if alone is None else alone.rows
        transposed = np.ascontiguousarray((parameters if alone is None else alone.parameters(parameters)).T)

        def work(where: slice, z: NDArray[np.float32]) -> None:
            # The product in this order, then the small transposition: the other order costs twice as much.
            logits[:, where] = (z @ transposed).T

        over_blocks(rows, work, self.threads, self._block_values)
        return logits

    def back_project(self, residual: NDArray[np.float32]) -> Parameters:
        """Derivative by the logits (classes, n) -> derivative by the parameters, without L2."""
        alone = self.rows.codes_alone
        rows = self.rows if alone is None else alone.rows
        gradient = over_blocks(rows, lambda where, z: residual[:, where] @ z, self.threads, self._block_values)
        assert gradient is not None
        return gradient if alone is None else alone.gradient(gradient)

    def penalty(self, parameters: Parameters) -> float:
        """l2/2 |V - A|^2."""
        moved = (parameters - self.anchor).ravel()
        return 0.5 * self.l2 * float(moved @ moved)

    def value_and_gradient(self, parameters: Parameters) -> tuple[float, Parameters]:
        """F and its gradient in one pass, with no array as long as the samples; float32 sums."""
        loss, gradient = self._one_pass(np.ascontiguousarray(parameters.T))
        gradient += np.float32(self.l2) * (parameters - self.anchor)
        return loss + self.penalty(parameters), gradient.astype(np.float32, copy=False)

    def part_value_and_gradient(self, parameters: Parameters, where: slice) -> tuple[float, Parameters]:
        """F and its gradient as the samples at `where` alone tell them, their weights as they are among all."""
        z = self.rows.take(where)
        loss, gradient = self._of_block(where, z, parameters.T)
        share = np.float32(self.samples / len(z))
        gradient *= share
        moved = parameters - self.anchor
        flat = moved.ravel()
        penalty = 0.5 * self.l2 * float(flat @ flat)
        moved *= np.float32(self.l2)
        gradient += moved
        return float(share) * loss + penalty, gradient

    def exact_value_and_gradient(self, parameters: NDArray[np.floating]) -> tuple[float, NDArray[np.float64]]:
        """As `value_and_gradient`, all in float64: what a bound is computed from. A few rows at a time, since they are
        twice as wide."""
        moved = parameters.astype(np.float64) - self.anchor
        transposed = np.ascontiguousarray(parameters.T, np.float64)
        loss, gradient = 0.5 * self.l2 * float(np.vdot(moved, moved)), self.l2 * moved
        step = max(EXACT_VALUES // self.rows.width, 1)
        for start in range(0, self.samples, step):
            where = slice(start, min(start + step, self.samples))
            part, direction = self._of_block(where, self.rows.take(where).astype(np.float64), transposed)
            loss += part
            gradient += direction
        return loss, gradient

    def _one_pass(self, transposed: NDArray[np.float32]) -> tuple[float, NDArray[np.floating]]:
        """Cross-entropy and its gradient, for `transposed` (features + 1, classes)."""
        losses: dict[int, float] = {}

        def work(where: slice, z: NDArray[np.float32]) -> NDArray[np.floating]:
            losses[where.start], direction = self._of_block(where, z, transposed)
            return direction

        gradient = over_blocks(self.rows, work, self.threads)
        assert gradient is not None
        return sum(losses[start] for start in sorted(losses)), gradient

    def _of_block(
        self, where: slice, z: NDArray[np.floating], transposed: NDArray[np.floating]
    ) -> tuple[float, NDArray[np.floating]]:
        """What the rows `z` at `where` add to the cross-entropy and its gradient, in their precision."""
        entropy = self.cross_entropy
        logits = np.ascontiguousarray((z @ transposed).T)
        picked = entropy.targets_dot(logits, where)
        loss = float((softmax_in_place(logits) - picked) @ entropy.shares(where, transposed.dtype))
        entropy.residual_in_place(logits, where)
        return loss, logits @ z


def loss_and_accuracy(
    rows: EmbeddingRows, labels: NDArray[np.int64], parameters: NDArray[np.floating]
) -> tuple[float, float]:
    """Of rows that have no say in training: mean cross-entropy in nats (no L2, no smoothing, all weights 1), and the
    share that is answered right.
    """
    transposed = np.ascontiguousarray(parameters.T)
    total, right = 0.0, 0
    for where, z in each_block(rows):
        logits = np.ascontiguousarray((z @ transposed).T)
        right += int(np.count_nonzero(logits.argmax(axis=0) == labels[where]))
        picked = logits[labels[where], np.arange(logits.shape[1])]
        total += float((softmax_in_place(logits) - picked).sum(dtype=np.float64))
    return total / rows.samples, right / rows.samples


def hits(rows: EmbeddingRows, labels: NDArray[np.int64], parameters: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which rows the parameters classify right: bool (n,)."""
    right = np.empty(rows.samples, np.bool_)
    for where, z in each_block(rows):
        right[where] = (z @ parameters.T).argmax(axis=1) == labels[where]
    return right
