"""`cifar10`: 32x32 colour photographs of ten kinds of things (Krizhevsky 2009).

Small enough to train on a laptop: the first 5,000 of its training images, and all 10,000 test images. They are read
from the folder that the environment variable EDGE_CNN_DATA names, in one of two forms that give the same arrays:

- `cifar-10-batches-bin/data_batch_1.bin` and `test_batch.bin`, as the published archive unpacks: one byte of label and
  1,024 bytes each of red, green and blue an image;
- `cifar10/train_first5000.webp` and `test_10000.webp`, lossless, 100 images a row, with the labels beside them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError, UnavailableError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.datasets.dataset import DatasetEntry
from edge_cnn.host.datasets.recipe import Recipe

VARIABLE = "EDGE_CNN_DATA"
ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_SAMPLES, TEST_SAMPLES = 5000, 10_000
SIDE = 32
IMAGE_BYTES = SIDE * SIDE * 3
MOSAIC_COLUMNS = 100

_BINARY = ("cifar-10-batches-bin/data_batch_1.bin", "cifar-10-batches-bin/test_batch.bin")
_MOSAICS = ("cifar10/train_first5000.webp", "cifar10/test_10000.webp")


def load() -> tuple[LabelledImages, LabelledImages]:
    """5,000 samples for training and 10,000 for tests: uint8 (n, 32, 32, 3).

    Raises:
        UnavailableError: EDGE_CNN_DATA is not set, or its folder has neither form.
        DataError: a file is damaged or not CIFAR-10.
    """
    form = _locate()
    if form is None:
        raise UnavailableError(
            f"CIFAR-10 is not here: {_missing()}; unpack {ARCHIVE} into a folder and set {VARIABLE} to that folder"
        )
    read, train, test = form
    return read(train, TRAIN_SAMPLES), read(test, TEST_SAMPLES)


_Reader = Callable[[Path, int], LabelledImages]


def _locate() -> tuple[_Reader, Path, Path] | None:
    """What reads the data that is there, and the files of both parts."""
    folder = os.environ.get(VARIABLE)
    forms: tuple[tuple[_Reader, tuple[str, str]], ...] = ((_read_binary, _BINARY), (_read_mosaic, _MOSAICS))
    for read, names in forms if folder else ():
        train, test = (Path(folder or "", name) for name in names)
        if train.is_file() and test.is_file():
            return read, train, test
    return None


def _missing() -> str:
    folder = os.environ.get(VARIABLE)
    if not folder:
        return f"{VARIABLE} is not set"
    return f"{VARIABLE} names {folder}, which has no {' and '.join(_BINARY)}"


def _read_binary(file: Path, count: int) -> LabelledImages:
    try:
        with open(file, "rb") as stream:
            data = stream.read(count * (1 + IMAGE_BYTES))
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}; unpack {ARCHIVE} again") from error
    if len(data) < count * (1 + IMAGE_BYTES):
        raise DataError(f"{file} holds fewer than {count} images; unpack {ARCHIVE} again")
    rows = np.frombuffer(data, np.uint8).reshape(count, 1 + IMAGE_BYTES)
    planes = rows[:, 1:].reshape(count, 3, SIDE, SIDE)
    return _labelled(file, np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, 0].astype(np.int64))


def _read_mosaic(file: Path, count: int) -> LabelledImages:
    from PIL import Image

    try:
        with Image.open(file) as mosaic:
            pixels = np.asarray(mosaic.convert("RGB"))
        grid = pixels.reshape(count // MOSAIC_COLUMNS, SIDE, MOSAIC_COLUMNS, SIDE, 3)
        labels = np.load(file.with_name(f"{file.stem}_labels.npy"), allow_pickle=False)
        return _labelled(file, grid.transpose(0, 2, 1, 3, 4).reshape(count, SIDE, SIDE, 3), labels.astype(np.int64))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}; copy it again, or unpack {ARCHIVE}") from error


def _labelled(file: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> LabelledImages:
    if labels.shape != (len(images),) or not np.isin(np.arange(len(CLASS_NAMES)), labels).all() or labels.max() > 9:
        raise DataError(f"{file} is not CIFAR-10: its labels are not the classes 0 to 9; unpack {ARCHIVE} again")
    return LabelledImages(images, labels, CLASS_NAMES)


CIFAR10 = DatasetEntry(
    name="cifar10",
    summary="photographs of ten kinds of things, the first 5,000 for training",
    source='CIFAR-10 by A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; '
    f"from {ARCHIVE} in the folder {VARIABLE}",
    licence="not stated; cite Krizhevsky 2009",
    image_shape=(SIDE, SIDE, 3),
    classes=10,
    train_samples=TRAIN_SAMPLES,
    test_samples=TEST_SAMPLES,
    is_present=lambda: _locate() is not None,
    load=load,
    recipe=Recipe(
        "resnet8",
        160,
        64,
        "sgd",
        0.1,
        "cross-entropy",
        "photos",
        weight_decay=0.01,
        patience=None,
        label_smoothing=0.1,
        validation_share=0.05,
    ),
    obtain=f"unpack {ARCHIVE} into the folder {VARIABLE}",
)
