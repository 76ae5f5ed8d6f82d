"""Real data and what is made of it, for tests of the audit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def data_folder() -> Path:
    """The folder with cifar10/ and mlperf_tiny/; skips the test where it is not known."""
    if "EDGE_CNN_DATA" not in os.environ:
        pytest.skip(
            "no CIFAR-10 and no MLPerf Tiny files; set EDGE_CNN_DATA to the folder with cifar10/ and mlperf_tiny/"
        )
    return Path(os.environ["EDGE_CNN_DATA"])


def cifar(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10: uint8 (5000, 32, 32, 3) of training or (10000, ...) of test, labels int64."""
    name = {"train": "train_first5000", "test": "test_10000"}[part]
    with Image.open(data_folder() / "cifar10" / f"{name}.webp") as mosaic:
        pixels = np.asarray(mosaic.convert("RGB"))
    images = pixels.reshape(-1, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
    return images, np.load(data_folder() / "cifar10" / f"{name}_labels.npy").astype(np.int64)


def spectrograms() -> np.ndarray:
    """Keyword spotting, MLPerf Tiny: float32 (1000, 49, 10, 1), coefficients of spectra over time."""
    with np.load(data_folder() / "mlperf_tiny" / "kws01_inputs_1000.npz") as file:
        return file["x"].astype(np.float32)[..., None]


def digits(side: int) -> np.ndarray:
    """Handwritten digits: float32 (n, 28, 28, 1) or scikit-learn's (1797, 8, 8, 1)."""
    if side == 8:
        from sklearn.datasets import load_digits

        return load_digits().images.astype(np.float32)[..., None]
    from edge_cnn.host.datasets import load_dataset

    return load_dataset("digits").train.images.astype(np.float32)


def photographs() -> np.ndarray:
    """Pieces of scikit-learn's two photographs, a palace before trees and a flower: float32 (520, 32, 32, 3)."""
    from sklearn.datasets import load_sample_images

    pieces = [
        image[:416, :640].reshape(13, 32, 20, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
        for image in load_sample_images().images
    ]
    return np.concatenate(pieces).astype(np.float32)


def shuffled(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Each image's pixels in an order of its own, channels together."""
    rng = np.random.default_rng(seed)
    flat = images.reshape(len(images), -1, images.shape[-1])
    return np.stack([rng.permutation(image) for image in flat]).reshape(images.shape)


def blots(count: int, side: int = 16, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth images without any file: uint8 (count, side, side, channels), random blots of light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    images = np.zeros((count, side, side, channels))
    for _ in range(4):
        cy, cx, size, light = rng.uniform([[0], [0], [0.1], [0.3]], [[1], [1], [0.3], [1]], (4, count))
        blot = np.exp(-((y - cy[:, None, None]) ** 2 + (x - cx[:, None, None]) ** 2) / size[:, None, None] ** 2)
        images += (light[:, None, None] * blot)[..., None] * rng.uniform(0.4, 1, (count, 1, 1, channels))
    return np.clip(images * 200, 0, 255).astype(np.uint8)
