"""An independent float64 solution of weighted, smoothed, anchored softmax regression: Newton's method, row-major."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_cnn.device.training.embedding_rows import dense_rows
from edge_cnn.device.training.problem import HeadProblem


@dataclass(frozen=True)
class Oracle:
    """z: (n, d) with a last column of ones; t: soft targets (n, c); w: weights (n,) with mean 1; anchor: (c, d)."""

    z: np.ndarray
    t: np.ndarray
    w: np.ndarray
    anchor: np.ndarray
    l2: float

    def loss(self, v: np.ndarray) -> float:
        a = self.z @ v.T
        peak = a.max(axis=1)
        logsumexp = peak + np.log(np.exp(a - peak[:, None]).sum(axis=1))
        return float(np.mean(self.w * (logsumexp - (self.t * a).sum(axis=1)))) + self.l2 / 2 * float(
            ((v - self.anchor) ** 2).sum()
        )

    def gradient(self, v: np.ndarray) -> np.ndarray:
        return (self.w[:, None] * (self._p(v) - self.t)).T @ self.z / len(self.z) + self.l2 * (v - self.anchor)

    def hessian(self, v: np.ndarray) -> np.ndarray:
        p, (c, d) = self._p(v), v.shape
        inner = np.einsum("nj,jk->njk", p, np.eye(c)) - np.einsum("nj,nk->njk", p, p)
        h = np.einsum("n,njk,na,nb->jakb", self.w, inner, self.z, self.z, optimize=True) / len(self.z)
        return h.reshape(c * d, c * d) + self.l2 * np.eye(c * d)

    def solve(self) -> np.ndarray:
        """The minimum, with a gradient below 1e-10."""
        v = np.zeros_like(self.anchor)
        for _ in range(200):
            g = self.gradient(v)
            if np.linalg.norm(g) < 1e-10:
                return v
            step = np.linalg.solve(self.hessian(v), g.ravel()).reshape(v.shape)
            length = 1.0
            while self.loss(v - length * step) > self.loss(v) - 1e-4 * length * float((g * step).sum()) + 1e-15:
                length /= 2
                if length < 1e-10:
                    return v
            v = v - length * step
        raise AssertionError("Newton's method did not converge")

    def _p(self, v: np.ndarray) -> np.ndarray:
        a = self.z @ v.T
        e = np.exp(a - a.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


def random_problem(seed: int, *, plain: bool = False, threads: int = 1) -> tuple[HeadProblem, Oracle]:
    """A problem of random size, difficulty, weights, smoothing, anchor and L2, and the same one as an oracle."""
    rng = np.random.default_rng(seed)
    n, d, c = int(rng.integers(8, 120)), int(rng.integers(1, 7)), int(rng.integers(2, 6))
    labels = rng.integers(0, c, n)
    embeddings = rng.normal(0, 1, (c, d))[labels] * rng.uniform(0, 3) + rng.normal(0, 1, (n, d))
    rows = dense_rows(embeddings)
    anchor = np.zeros((c, d + 1), np.float32) if plain else rng.normal(0, 1, (c, d + 1)).astype(np.float32)
    weights = None if plain else rng.uniform(0.1, 3, n)
    if weights is not None:
        weights /= weights.mean()
    smoothing = 0.0 if plain else float(rng.choice([0.0, 0.1, 0.4]))
    l2 = float(10 ** rng.uniform(-4, 0))
    targets = np.eye(c)[labels] * (1 - smoothing) + smoothing / c
    oracle = Oracle(
        rows.values.astype(np.float64), targets, np.ones(n) if weights is None else weights, anchor.astype(float), l2
    )
    return HeadProblem(rows, labels, anchor, l2, weights, smoothing, threads), oracle
