"""Which classes data holds, and the part of it that is of given classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.device.image_files import load_npz
from edge_cnn.device.image_folder import class_of, list_images
from edge_cnn.device.label_array import label_values
from edge_cnn.device.sample_source import SampleSource


def new_classes(path: Path, known: tuple[str, ...]) -> tuple[str, ...]:
    """The classes of a folder or an `.npz` that are not among `known`, in the order of the data.

    A number that stands in the place of a name counts on from the known classes: 10 is the eleventh, called "10".

    Raises:
        DataError: the file cannot be read.
    """
    if path.is_dir():
        used = [class_of(path, image) for image in list_images(path)]
        names = dict.fromkeys(name for name in used if name is not None)
    elif path.suffix.lower() == ".npz" and path.exists():
        arrays = load_npz(path)
        y, classes = label_values(path, arrays.get("y", np.zeros(0, np.int64)))
        if y.dtype.kind == "U":
            names = dict.fromkeys(str(name) for name in np.unique(y))
        elif "labels" in arrays:
            names = dict.fromkeys(str(name) for name in arrays["labels"].ravel())
        else:
            numbers = range(classes) if classes is not None else np.unique(y)
            names = dict.fromkeys(str(int(number)) for number in numbers if number >= len(known))
    else:
        raise DataError(f"{path} is neither a folder nor an .npz; give one of the two")
    return tuple(name for name in names if name not in known)


def of_classes(samples: SampleSource, class_names: tuple[str, ...]) -> SampleSource:
    """The samples whose class is one of `class_names`, with labels that index these."""
    places = {name: index for index, name in enumerate(class_names)}
    table = np.array([places.get(name, -1) for name in samples.class_names], np.int64)
    stays = table[samples.labels] >= 0
    chosen = samples.select(stays)
    return replace(chosen, labels=table[chosen.labels], class_names=class_names)
