"""Where samples come from: a folder that is decoded image by image, or an `.npz` in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.image_files import read_npz
from edge_cnn.device.image_folder import FolderImages, OnSkip, ignore_skips, open_folder
from edge_cnn.device.label_array import OnRemark, ignore_remarks

SampleSource = LabelledImages | FolderImages
"""Both tell labels and names at once, and give images by `read`."""


def open_data(
    path: Path,
    image_shape: tuple[int, int, int] | tuple[int, int] | None,
    class_names: tuple[str, ...] | None = None,
    on_skip: OnSkip = ignore_skips,
    on_stretch: Callable[[Path], None] = lambda _: None,
    on_remark: OnRemark = ignore_remarks,
) -> SampleSource:
    """Labelled samples from a folder of images by class, or from an `.npz`.

    Args:
        path: a folder or an `.npz` file.
        image_shape: (height, width, channels) that pixels are brought to; without channels they keep theirs; None keeps
            their size too, which must then be one for all.
        class_names: the model's labels; the result's labels index them. None: the data's own classes.
        on_skip: told of each image that cannot be read.
        on_stretch: told of each image of a folder that resizing stretches (`read_image`).
        on_remark: told how something was understood that could have been meant otherwise.

    Raises:
        DataError: nothing there, no images, one class only, unknown labels, labels out of range, NaN, wrong shapes.
    """
    if path.is_dir():
        return open_folder(path, image_shape, class_names, on_skip, on_stretch, on_remark)
    if not path.exists():
        raise DataError(f"no data at {path}; give a folder with one sub-folder of images a class, or an .npz")
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path} is neither a folder nor an .npz; give one of the two")
    return read_npz(path, image_shape, class_names, on_remark)


def read_data(
    path: Path,
    image_shape: tuple[int, int, int] | tuple[int, int] | None,
    class_names: tuple[str, ...] | None = None,
    on_skip: OnSkip = ignore_skips,
    on_remark: OnRemark = ignore_remarks,
) -> LabelledImages:
    """As `open_data`, with all images in memory. Raises: DataError: also where too few images can be read."""
    source = open_data(path, image_shape, class_names, on_skip, on_remark=on_remark)
    return source.load() if isinstance(source, FolderImages) else source
