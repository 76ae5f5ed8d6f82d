"""Embeddings for the benchmark of head training: int8 codes as a backbone gives them, by shape, and real ones.

Synthetic embeddings are ReLU features of a latent space of 48 dimensions in which classes overlap: their covariance has
few large and many small eigenvalues, as that of a real backbone has, and no head classifies them all right.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHAPES = ((1024, 256, 4), (1024, 1024, 16), (2000, 64, 10), (2000, 1280, 10), (5000, 1280, 100))
"""Samples, features, classes; the first two are those of Coral's own benchmark."""

HELD_OUT = 2000
LATENT = 48


@dataclass(frozen=True)
class Embeddings:
    """Codes int8 (n, features) and labels (n,) to train with, and others to judge with."""

    name: str
    codes: np.ndarray
    labels: np.ndarray
    held_codes: np.ndarray
    held_labels: np.ndarray
    classes: int

    def standardized(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 (n, features + 1) with a last column of ones, of both parts, by the statistics of the first."""
        mean, scale = self.codes.mean(axis=0), self.codes.std(axis=0)
        scale = np.maximum(scale, 0.1 * np.sqrt((scale**2).mean()))
        parts = []
        for codes in (self.codes, self.held_codes):
            z = np.ones((len(codes), codes.shape[1] + 1), np.float32)
            z[:, :-1] = (codes - mean) / scale
            parts.append(z)
        return parts[0], parts[1]


def synthetic(samples: int, features: int, classes: int) -> Embeddings:
    """Overlapping classes seen through random ReLU features."""
    rng = np.random.default_rng(0)
    count = samples + HELD_OUT
    axes = np.arange(1, LATENT + 1)
    centres = 1.6 * rng.normal(size=(classes, LATENT)) * axes**-0.5
    labels = rng.integers(0, classes, count)
    latent = centres[labels] + rng.normal(size=(count, LATENT)) * axes**-0.3
    mixing = rng.normal(size=(LATENT, features)) / np.sqrt(LATENT)
    values = np.maximum(latent @ mixing + rng.normal(0, 0.3, (count, features)), 0)
    codes = (np.rint(values * (255 / values.max())) - 128).astype(np.int8)
    name = f"{samples} x {features}, {classes} classes"
    return Embeddings(name, codes[:samples], labels[:samples], codes[samples:], labels[samples:], classes)


def corrupted_cifar() -> list[Embeddings]:
    """ResNet-8's own embeddings of corrupted CIFAR-10, where EDGE_CNN_DATA has both; else none."""
    if "EDGE_CNN_DATA" not in os.environ:
        return []
    from corrupted_cifar import CORRUPTIONS, corrupt, load_images, open_resnet8

    from edge_cnn.device.embedding import Embedder

    embedder = Embedder(open_resnet8())
    (images, labels), (held, held_labels) = load_images("train", 2000), load_images("test", HELD_OUT)
    return [
        Embeddings(
            f"ResNet-8, CIFAR-10 {name}",
            embedder.codes(corrupt(name, images, seed=0)),
            labels,
            embedder.codes(corrupt(name, held, seed=1)),
            held_labels,
            10,
        )
        for name in CORRUPTIONS
    ]


def save(embeddings: Embeddings, path: Path) -> None:
    """As an `.npz` that the sides read."""
    np.savez(path, **vars(embeddings))


def load(path: Path) -> Embeddings:
    """What `save` wrote."""
    with np.load(path) as arrays:
        return Embeddings(**{name: arrays[name] if arrays[name].ndim else arrays[name].item() for name in arrays.files})
