"""Images and labels from files: one image, or an `.npz` with `x` and `y`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.named_few import some
from edge_cnn.core.npz import unpack_npz
from edge_cnn.device.label_array import OnRemark, ignore_remarks, read_labels

MAX_NPZ_BYTES = 8 * 2**30
STRETCH = 0.1
"""A change of the aspect ratio that a network feels."""


def read_image(
    path: Path, image_shape: tuple[int, int, int] | None, on_stretch: Callable[[Path], None] = lambda _: None
) -> NDArray[np.uint8]:
    """Decode one image.

    Args:
        path: any format that Pillow reads.
        image_shape: (height, width, channels) to convert and resize to (bilinear); None keeps the size, gray images
            with 1 channel and others with 3.
        on_stretch: told of an image whose aspect ratio resizing changes by more than `STRETCH`.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: the file is missing or cannot be decoded.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            image = _eight_bit(ImageOps.exif_transpose(opened))
            gray = image.mode in ("1", "L", "LA") if image_shape is None else image_shape[2] == 1
            image = image.convert("L" if gray else "RGB")
            if image_shape is not None and image.size != (image_shape[1], image_shape[0]):
                if _stretch(image.size, image_shape) > STRETCH:
                    on_stretch(path)
                image = image.resize((image_shape[1], image_shape[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(image, np.uint8)
    except FileNotFoundError:
        raise DataError(f"no image at {path}; check the name") from None
    except UnidentifiedImageError:
        raise DataError(f"{path} is not an image that Pillow reads; convert it to PNG or JPEG") from None
    # A damaged file makes Pillow's decoders stumble in ways of their own: struct.error, IndexError, SyntaxError, ...
    except Exception as error:
        raise DataError(f"cannot read image {path}: {error}; replace the file") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _stretch(size: tuple[int, int], image_shape: tuple[int, int, int]) -> float:
    """How much wider or higher, in relation, an image of `size` (width, height) becomes: 0 for not at all."""
    ratio = size[0] * image_shape[0] / (size[1] * image_shape[1])
    return max(ratio, 1 / ratio) - 1


def _eight_bit(image: Any) -> Any:
    """An image of at most 8 bits a channel: Pillow itself clips 16 bits instead of scaling them."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floats without a known range; convert it to 8 or 16 bits")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    # Mode I is what Pillow makes of 16-bit PGM; a file with small values only cannot be told from an 8-bit one.
    wide = image.mode != "I" or int(values.max(initial=0)) > 255
    return Image.fromarray((values >> 8 if wide else values).clip(0, 255).astype(np.uint8))


def read_npz(
    path: Path,
    image_shape: tuple[int, int, int] | tuple[int, int] | None,
    class_names: tuple[str, ...] | None = None,
    on_remark: OnRemark = ignore_remarks,
) -> LabelledImages:
    """Samples of an `.npz` with `x` (n, ...) and `y` (n,), optionally `labels` (class names). Raises: DataError."""
    arrays = load_npz(path)
    if "x" not in arrays or "y" not in arrays:
        raise DataError(f"{path} holds {sorted(arrays)}, not x and y; save it with numpy.savez(file, x=..., y=...)")
    images = check_images(arrays["x"], str(path), image_shape)
    labels, names = read_labels(path, arrays["y"], arrays.get("labels"), class_names, on_remark)
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} samples in x but {len(labels)} labels in y; make them match")
    if len(labels) == 0:
        raise DataError(f"{path} holds no samples; save some in x and y")
    return LabelledImages(images, labels, names)


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file. Raises: DataError: missing, damaged, or holding Python objects."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return unpack_npz(data, name=str(path), max_bytes=MAX_NPZ_BYTES)


def check_images(
    x: NDArray[Any], name: str, image_shape: tuple[int, int, int] | tuple[int, int] | None
) -> NDArray[Any]:
    """Pixels as uint8 (n, height, width, channels), resized where needed; floats as float32, finite.

    An `image_shape` without channels keeps those of the pixels; None keeps their size too.

    Raises:
        DataError: another dtype, NaN, or a shape that is no batch of images.
    """
    if x.dtype == np.uint8:
        if x.ndim == 3:
            x = x[..., None]
        if x.ndim != 4 or x.shape[3] not in (1, 3):
            raise DataError(
                f"{name}: uint8 x has shape {x.shape}, not (n, height, width[, 1 or 3]); {_advice(x.shape)}"
            )
        if image_shape is not None and len(image_shape) == 2:
            image_shape = (*image_shape, x.shape[3])
        if image_shape is not None and x.shape[1:] != image_shape:
            x = _resized(x, image_shape)
        return x
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{name}: x is {x.dtype}; save pixels as uint8, or model inputs as float32")
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise DataError(f"{name}: x holds NaN or infinity {_bad_rows(x)}; clean the data")
    return x


def _advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 4 and shape[3] == 4:
        return "drop the fourth channel, as x[..., :3]"
    if len(shape) == 4 and shape[1] in (1, 3):
        return "put the channels last, as x.transpose(0, 2, 3, 1)"
    return "reshape it"


def _bad_rows(x: NDArray[Any]) -> str:
    rows = np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1)).tolist()
    return f"in sample {rows[0]}" if len(rows) == 1 else f"in {len(rows)} samples ({some([str(row) for row in rows])})"


def _resized(images: NDArray[np.uint8], image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    height, width, channels = image_shape
    mode = "L" if channels == 1 else "RGB"
    rows: list[NDArray[np.uint8]] = []
    for pixels in images:
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert(mode)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        rows.append(np.asarray(image, np.uint8).reshape(image_shape))
    return np.stack(rows) if rows else np.empty((0, *image_shape), np.uint8)
