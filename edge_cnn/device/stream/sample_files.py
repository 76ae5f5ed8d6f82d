"""One sample from one file: an image, or an array in an `.npy`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.image_files import check_images, read_image
from edge_cnn.device.image_folder import SUFFIXES

ARRAY = ".npy"

SAMPLE_SUFFIXES = SUFFIXES | {ARRAY}

MAX_BYTES = 2**30


def read_sample(path: Path, classifier: Classifier) -> NDArray[Any]:
    """The sample in a file, as `Classifier.predict` takes a row of.

    Args:
        path: an image of any size; or an `.npy` with pixels, uint8 (height, width[, channels]), or with one float model
            input.
        classifier: for which one.

    Raises:
        DataError: missing, damaged, or nothing that the model takes.
    """
    if path.suffix.lower() == ARRAY:
        sample = check_images(_read_array(path)[None], str(path), classifier.image_shape)[0]
    elif classifier.image_shape is None:
        raise DataError(f"{path}: the model takes no images; give its inputs as float32 in an .npy each")
    else:
        sample = read_image(path, classifier.image_shape)
    # Of another shape it is refused here, where its name is known.
    try:
        classifier.encode(sample[None])
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return sample


def _read_array(path: Path) -> NDArray[Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES} bytes; give one sample a file")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    # Damaged bytes bring up a dozen types, down to those of the tokenizer behind numpy's headers.
    except Exception as error:
        detail = " ".join(str(error).split())
        raise DataError(f"{path} is not a readable .npy: {detail}; save it again with numpy.save") from error
