"""A folder of images, one sub-folder a class: listed at once, decoded when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.image_files import read_image
from edge_cnn.device.image_headers import one_shape
from edge_cnn.device.label_array import OnRemark, check_known, ignore_remarks

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

PARTS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
"""What folders of classes are called where data comes in parts."""

OnSkip = Callable[[Path, str], None]
"""Called with each file that was left out, and why."""


def ignore_skips(path: Path, reason: str) -> None:
    """An `OnSkip` that tells nobody."""
    del path, reason


def list_images(folder: Path) -> list[Path]:
    """Image files below `folder`, by suffix, in order of their names; hidden files and folders are left out."""
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in p.relative_to(folder).parts)
        and p.is_file()
    )


def class_of(folder: Path, path: Path) -> str | None:
    """The class of an image: the sub-folder of `folder` that it lies in, however deep; None for one in none."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else None


@dataclass(frozen=True)
class FolderImages:
    """Samples that lie in files.

    Attributes:
        folder: that was given, for messages.
        files: one image each.
        labels: int64 (n,), indices into `class_names`.
        class_names: one a class.
        image_shape: (height, width, channels) that images are resized to; None keeps their size.
        on_skip: told of each image that cannot be read, whenever it is asked for.
        on_stretch: told of each image that resizing stretches (`read_image`), whenever it is asked for.
    """

    folder: Path
    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None
    on_skip: OnSkip = ignore_skips
    on_stretch: Callable[[Path], None] = lambda _: None

    def __len__(self) -> int:
        return len(self.files)

    def select(self, indices: NDArray[Any]) -> FolderImages:
        """The samples at `indices` (integers or a boolean mask), in that order."""
        chosen: list[int] = np.arange(len(self))[indices].tolist()
        return replace(self, files=tuple(self.files[i] for i in chosen), labels=self.labels[chosen])

    def name_of(self, row: int) -> str:
        """The file."""
        return str(self.files[row])

    def read(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The images at `rows` that can be read, uint8 (k, height, width, channels), and which rows these are.

        Raises:
            DataError: they are of different shapes.
        """
        images: list[NDArray[np.uint8]] = []
        readable: list[int] = []
        for row in map(int, rows):
            try:
                image = read_image(self.files[row], self.image_shape, self.on_stretch)
            except DataError as error:
                self.on_skip(self.files[row], str(error))
                continue
            if images and image.shape != images[0].shape:
                raise DataError(
                    f"{self.files[row]} has shape {image.shape}, the images before it {images[0].shape}; "
                    "resize them to one size, with the same channels"
                )
            images.append(image)
            readable.append(row)
        shape = self.image_shape or (0, 0, 1)
        stacked = np.stack(images) if images else np.empty((0, *shape), np.uint8)
        return stacked, np.array(readable, np.int64)

    def load(self) -> LabelledImages:
        """All that can be read, in memory. Raises: DataError: as `read`, or fewer than two classes are left."""
        images, rows = self.read(np.arange(len(self)))
        if len(np.unique(self.labels[rows])) < 2:
            raise DataError(f"{self.folder}: fewer than two classes have a readable image; replace the damaged files")
        names = tuple(self.name_of(int(row)) for row in rows)
        return LabelledImages(images, self.labels[rows], self.class_names, names)


def open_folder(
    folder: Path,
    image_shape: tuple[int, int, int] | tuple[int, int] | None,
    class_names: tuple[str, ...] | None = None,
    on_skip: OnSkip = ignore_skips,
    on_stretch: Callable[[Path], None] = lambda _: None,
    on_remark: OnRemark = ignore_remarks,
) -> FolderImages:
    """List a folder of images by class.

    Args:
        folder: with one sub-folder of images a class.
        image_shape: (height, width, channels) that images are brought to. None: their size, which must then be one for
            all. Without channels: 1 where all are gray, else 3.
        class_names: the model's labels; the result's labels index them. None: the folder's own classes.
        on_skip: told of each image that cannot be read.
        on_stretch: told of each image that resizing stretches (`read_image`).
        on_remark: told of images of several modes and of transparency, where `image_shape` names no channels.

    Raises:
        DataError: images of several sizes, no images, one class only, or a class that is not among `class_names`.
    """
    files = [(name, path) for path in list_images(folder) if (name := class_of(folder, path)) is not None]
    if not files:
        raise DataError(f"{folder} holds no images in sub-folders; make one sub-folder of images a class")
    used = tuple(dict.fromkeys(name for name, _ in files))
    if (
        class_names is None
        and PARTS.issuperset(name.lower() for name in used)
        and all(len(path.relative_to(folder).parts) > 2 for _, path in files)
    ):
        raise DataError(
            f"{folder} holds parts of data ({', '.join(used)}), not classes; give one, as {folder / used[-1]}"
        )
    if len(used) < 2:
        raise DataError(f"{folder} holds images of one class only ({', '.join(used)}); at least two classes are needed")
    names = class_names if class_names is not None else used
    check_known(set(used), names, folder)
    place = {name: index for index, name in enumerate(names)}
    labels = np.array([place[name] for name, _ in files], np.int64)
    paths = tuple(path for _, path in files)
    if image_shape is None or len(image_shape) == 2:
        image_shape = one_shape(paths, image_shape, on_remark)
    return FolderImages(folder, paths, labels, names, image_shape, on_skip, on_stretch)
