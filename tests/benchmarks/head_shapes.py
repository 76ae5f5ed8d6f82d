"""Embeddings for the benchmark of head training: int8 codes as a backbone gives them, by shape, and real ones.

Synthetic embeddings are ReLU features of a latent space of 48 dimensions in which classes overlap: their covariance has
few large and many small eigenvalues, as that of a real backbone has. The more features see the latent space, the easier
it gets: the optimum answers 96 % right with 64 of them, 99 to 100 % with more; of the real ones it answers 51 to 80 %.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

SHAPES = ((1024, 256, 4), (1024, 1024, 16), (2000, 64, 10), (2000, 1280, 10), (5000, 1280, 100))
"""Samples, features, classes; the first two are those of Coral's own benchmark."""

QUICK = (0, 2)
"""Numbers of those that take seconds."""

HELD_OUT = 2000
LATENT = 48
BLOCK_ROWS = 32


@dataclass(frozen=True)
class Embeddings:
    """Codes int8 (n, features) and labels (n,) to train with, and others to judge with.

    `folder` is where they lie, beside what a side has made in advance.
    """

    name: str
    codes: np.ndarray
    labels: np.ndarray
    held_codes: np.ndarray
    held_labels: np.ndarray
    classes: int
    folder: Path = Path()

    def inputs(self) -> np.ndarray:
        """What to train with: standardized, float32 (n, features + 1) with a last column of ones."""
        return self._standardize(self.codes)

    def held_inputs(self) -> np.ndarray:
        """What to judge with, by the statistics of what there is to train with."""
        return self._standardize(self.held_codes)

    def warm_up(self) -> Embeddings:
        """A few samples of two classes and as many features: a library does with them what it does only once."""
        nothing = np.zeros(8, np.int64)
        return Embeddings("", self.codes[:64], np.arange(64) % 2, self.held_codes[:8], nothing, 2, self.folder)

    def _standardize(self, codes: np.ndarray) -> np.ndarray:
        # Block by block: copies of everything in float64 would count as memory of every peer that starts from here.
        count, sums, squares = len(self.codes), 0.0, 0.0
        for start in range(0, count, BLOCK_ROWS):
            block = self.codes[start : start + BLOCK_ROWS].astype(np.float64)  # sums of integers, so exact ones
            sums, squares = sums + block.sum(axis=0), squares + (block**2).sum(axis=0)
        mean = sums / count
        scale = np.sqrt(np.maximum(squares / count - mean**2, 0))
        scale = np.maximum(scale, 0.1 * np.sqrt((scale**2).mean()))
        z = np.ones((len(codes), codes.shape[1] + 1), np.float32)
        for start in range(0, len(codes), BLOCK_ROWS):
            z[start : start + BLOCK_ROWS, :-1] = (codes[start : start + BLOCK_ROWS] - mean) / scale
        return z


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


def corrupted_cifar(corruption: str) -> Embeddings:
    """ResNet-8's own embeddings of CIFAR-10 under a corruption; both from EDGE_CNN_DATA."""
    from corrupted_cifar import corrupt, load_images, open_resnet8

    from edge_cnn.device.finetuning.embedding import Embedder

    embedder = Embedder(open_resnet8())
    (images, labels), (held, held_labels) = load_images("train", 2000), load_images("test", HELD_OUT)
    return Embeddings(
        f"ResNet-8, CIFAR-10 {corruption}",
        embedder.codes(corrupt(corruption, images, seed=0)),
        labels,
        embedder.codes(corrupt(corruption, held, seed=1)),
        held_labels,
        10,
    )


def sources() -> list[Callable[[], Embeddings]]:
    """What makes each: the synthetic ones, then the real ones where EDGE_CNN_DATA is set."""
    makers: list[Callable[[], Embeddings]] = [partial(synthetic, *shape) for shape in SHAPES]
    if "EDGE_CNN_DATA" in os.environ:
        from corrupted_cifar import CORRUPTIONS

        makers += [partial(corrupted_cifar, name) for name in CORRUPTIONS]
    return makers


def save(embeddings: Embeddings, path: Path) -> None:
    """As an `.npz` that the sides read."""
    np.savez(path, **{name: value for name, value in vars(embeddings).items() if name != "folder"})


def load(path: Path) -> Embeddings:
    """What `save` wrote."""
    with np.load(path) as arrays:
        values = {name: arrays[name] if arrays[name].ndim else arrays[name].item() for name in arrays.files}
    return Embeddings(**values, folder=path.parent)
