"""CIFAR-10 (Krizhevsky 2009) as a camera might spoil it, and the MLPerf Tiny ResNet-8 that was not trained on that.

Both come from the folder that EDGE_CNN_DATA names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from edge_cnn.device.classifier import Classifier
from edge_cnn.device.opening import open_classifier

MOSAICS = {"train": ("train_first5000", 50), "test": ("test_10000", 100)}


def data_folder() -> Path:
    """Raises: SystemExit: EDGE_CNN_DATA is not set."""
    if "EDGE_CNN_DATA" not in os.environ:
        raise SystemExit("error: EDGE_CNN_DATA is not set; set it to the folder with cifar10/ and mlperf_tiny/")
    return Path(os.environ["EDGE_CNN_DATA"])


def load_images(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images of a part: uint8 (count, 32, 32, 3) and labels int64 (count,)."""
    name, rows = MOSAICS[part]
    folder = data_folder() / "cifar10"
    with Image.open(folder / f"{name}.webp") as mosaic:
        pixels = np.asarray(mosaic.convert("RGB"))
    images = pixels.reshape(rows, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
    return images[:count], np.load(folder / f"{name}_labels.npy")[:count].astype(np.int64)


def open_resnet8() -> Classifier:
    """The int8 reference model."""
    return open_classifier(data_folder() / "mlperf_tiny" / "models" / "pretrainedResnet_quant.tflite")


def _each(change: Callable[[Image.Image], Image.Image]) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    return lambda images, _: np.stack([np.asarray(change(Image.fromarray(image))) for image in images])


def _noise(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(images + rng.normal(0, 20, images.shape), 0, 255).astype(np.uint8)


def _contrast(images: np.ndarray, _: np.random.Generator) -> np.ndarray:
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip(np.rint((images - mean) * 0.4 + mean), 0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "noise, sigma 20": _noise,
    "blur, radius 1": _each(lambda image: image.filter(ImageFilter.GaussianBlur(1))),
    "contrast 0.4": _contrast,
    "inverted": lambda images, _: 255 - images,
    "rotated by 90 degrees": lambda images, _: np.ascontiguousarray(np.rot90(images, axes=(1, 2))),
    "16 px": _each(
        lambda image: image.resize((16, 16), Image.Resampling.BILINEAR).resize((32, 32), Image.Resampling.BILINEAR)
    ),
}


def corrupt(name: str, images: np.ndarray, seed: int) -> np.ndarray:
    """Images uint8 (n, 32, 32, 3) under one of `CORRUPTIONS`."""
    return CORRUPTIONS[name](images, np.random.default_rng(seed))
