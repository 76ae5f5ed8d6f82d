"""DATA as users write it: a data set's name, a folder with one sub-folder of images a class, or an `.npz`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages, stratified_split
from edge_cnn.device.image_files import check_images
from edge_cnn.device.image_folder import OnSkip
from edge_cnn.device.sample_source import read_data
from edge_cnn.host.datasets import DATASETS, Dataset, load_dataset

TEST_SHARE = 0.2
SPLIT_SEED = 2026
"""Of folders and `.npz` files; apart from any training seed, so that `export` measures on what `train` did not see."""


def load_data(
    data: str,
    image_shape: tuple[int, int, int] | None = None,
    class_names: tuple[str, ...] | None = None,
    on_skip: OnSkip | None = None,
) -> Dataset:
    """Labelled samples in a training and a test part.

    A folder or an `.npz` is split 80 to 20, each class in its share; a named data set has its own split. An `.npz` with
    x of shape (n, numbers) gives samples (n, 1, 1, numbers).

    Args:
        data: name of a data set, or path of a folder or an `.npz`; a name wins over a folder of that name.
        image_shape: (height, width, channels) that pixels are brought to; None keeps theirs.
        class_names: a model's labels, which the labels of a folder or an `.npz` then index; a named data set keeps
            its own.
        on_skip: told of each image that cannot be read, and why.

    Raises:
        DataError: nothing of that name, one class only, a class with one sample, NaN, labels out of range.
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
    skipping = {"on_skip": on_skip} if on_skip else {}
    samples = _as_images(read_data(path, image_shape, class_names, **skipping))
    _check_classes(samples, data)
    train, test = stratified_split(samples.labels, TEST_SHARE, np.random.default_rng(SPLIT_SEED))
    kind = "folder" if path.is_dir() else "file"
    return Dataset(data, samples.select(train), samples.select(test), f"{kind} {path.name}", "not stated")


def _as_images(samples: LabelledImages) -> LabelledImages:
    """Rows of a table become images of one pixel, as every network takes images."""
    if samples.images.ndim != 2:
        return samples
    return replace(samples, images=samples.images[:, None, None, :])


def _resized(samples: LabelledImages, name: str, image_shape: tuple[int, int, int] | None) -> LabelledImages:
    return replace(samples, images=check_images(samples.images, name, image_shape))


def _check_classes(samples: LabelledImages, data: str) -> None:
    counts = np.bincount(samples.labels, minlength=len(samples.class_names))
    if np.count_nonzero(counts) < 2:
        only = samples.class_names[int(counts.argmax())]
        raise DataError(f"{data} holds samples of one class only ({only}); at least two classes are needed")
    if 1 in counts:
        lonely = samples.class_names[int(np.flatnonzero(counts == 1)[0])]
        raise DataError(f"{data} holds a single sample of class {lonely!r}; give at least two, one of them to test")
