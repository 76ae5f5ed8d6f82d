"""DATA as users write it: a data set's name, a folder with one sub-folder of images a class, or an `.npz`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages, stratified_split
from edge_cnn.core.named_few import some
from edge_cnn.device.image_files import check_images
from edge_cnn.device.image_folder import FolderImages, OnSkip
from edge_cnn.device.machine import physical_memory
from edge_cnn.device.sample_source import open_data
from edge_cnn.host.datasets import DATASETS, Dataset, load_dataset
from edge_cnn.host.datasets.remark import Remark

TEST_SHARE = 0.2
SPLIT_SEED = 2026
"""Of folders and `.npz` files; apart from any training seed, so that `export` measures on what `train` did not see."""


MOST_SKIPPED, _FEW_SKIPPED = 0.2, 2
"""Of the images of a folder: what is left of more than a fifth may be another data set. So few are always let pass."""

_BYTES_A_VALUE = 6
"""A pixel, its model input in float32, and the copy that is being made of either."""


def load_data(
    data: str,
    image_shape: tuple[int, int, int] | tuple[int, int] | None = None,
    class_names: tuple[str, ...] | None = None,
    on_skip: OnSkip | None = None,
) -> Dataset:
    """Labelled samples in a training and a test part.

    A folder or an `.npz` is split 80 to 20, each class in its share; a named data set has its own split. An `.npz` with
    x of shape (n, numbers) gives samples (n, 1, 1, numbers).

    Args:
        data: name of a data set, or path of a folder or an `.npz`; a name wins over a folder of that name.
        image_shape: (height, width, channels) that pixels are brought to; without channels they keep theirs; None keeps
            their size too.
        class_names: a model's labels, which the labels of a folder or an `.npz` then index; a named data set keeps
            its own.
        on_skip: told of each image that cannot be read, and why.

    Raises:
        DataError: nothing of that name, one class only, a class with one sample, NaN, labels out of range; of a folder:
            images of several sizes where none is given, too many that cannot be read or that memory cannot hold.
        UnavailableError: the package that carries a named data set is not installed.
    """
    path = Path(data)
    # A bare word that is nothing on the disk was meant as a name; of anything else the reader says what is missing.
    if data in DATASETS or (not path.exists() and not path.suffix and path.name == data):
        dataset = load_dataset(data)
        return replace(
            dataset,
            train=_resized(dataset.train, data, image_shape),
            test=_resized(dataset.test, data, image_shape),
        )
    skipped: list[str] = []
    understood: list[str] = []

    def skip(file: Path, reason: str) -> None:
        skipped.append(file.name)
        if on_skip is not None:
            on_skip(file, reason)

    source = open_data(path, image_shape, class_names, skip, on_remark=understood.append)
    if isinstance(source, FolderImages):
        _check_memory(source)
        samples = source.load()
        _check_skipped(data, skipped, len(source))
    else:
        samples = _as_images(source)
        if image_shape is not None and class_names is None and not samples.is_pixels:
            raise DataError(f"{data}: x holds floats, which are not resized; give pixels as uint8, or no image size")
    _check_classes(samples, data)
    train, test = stratified_split(samples.labels, TEST_SHARE, np.random.default_rng(SPLIT_SEED))
    kind = "folder" if path.is_dir() else "file"
    remarks = [Remark("reading", text) for text in understood]
    if skipped:
        remarks.append(
            Remark("unreadable", f"{len(skipped)} images could not be read and were left out: {some(skipped)}")
        )
    parts = samples.select(train), samples.select(test)
    return Dataset(data, *parts, f"{kind} {path.name}", "not stated", tuple(remarks))


def _as_images(samples: LabelledImages) -> LabelledImages:
    """Rows of a table become images of one pixel, as every network takes images."""
    if samples.images.ndim != 2:
        return samples
    return replace(samples, images=samples.images[:, None, None, :])


def _resized(
    samples: LabelledImages, name: str, image_shape: tuple[int, int, int] | tuple[int, int] | None
) -> LabelledImages:
    return replace(samples, images=check_images(samples.images, name, image_shape))


def _check_memory(source: FolderImages) -> None:
    """Refuse photos in their full size before the machine swaps: pixels, and model inputs in float32 beside them."""
    if source.image_shape is None:
        return
    needed = len(source) * math.prod(source.image_shape) * _BYTES_A_VALUE
    there = physical_memory()
    if there is not None and needed > there:
        height, width, channels = source.image_shape
        raise DataError(
            f"{len(source)} images of {height}x{width}x{channels} need {needed / 2**30:.1f} GB of memory, there are "
            f"{there / 2**30:.1f}; give a smaller --image-size, for example 96x96"
        )


def _check_skipped(data: str, skipped: list[str], count: int) -> None:
    if len(skipped) > max(_FEW_SKIPPED, MOST_SKIPPED * count):
        raise DataError(
            f"{data}: {len(skipped)} of {count} images cannot be read ({some(skipped)}); replace or remove them"
        )


def _check_classes(samples: LabelledImages, data: str) -> None:
    counts = np.bincount(samples.labels, minlength=len(samples.class_names))
    if np.count_nonzero(counts) < 2:
        only = samples.class_names[int(counts.argmax())]
        raise DataError(f"{data} holds samples of one class only ({only}); at least two classes are needed")
    if 1 in counts:
        lonely = samples.class_names[int(np.flatnonzero(counts == 1)[0])]
        raise DataError(f"{data} holds a single sample of class {lonely!r}; give at least two, one of them to test")
