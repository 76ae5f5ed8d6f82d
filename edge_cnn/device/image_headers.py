"""What the headers of image files say, without decoding them: are they of one size, and of one mode?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import DataError
from edge_cnn.device.label_array import OnRemark

GRAY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Of Pillow; all others become RGB."""

_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)
"""Of EXIF: the tag, and its values that swap height and width."""


@dataclass(frozen=True)
class ImageHeader:
    """One file.

    Attributes:
        path: of the file.
        height, width: in pixels, turned upright as EXIF says.
        mode: as Pillow calls it: L, RGB, RGBA, P, CMYK, ...
        transparent: whether it has an alpha channel or a transparent colour.
    """

    path: Path
    height: int
    width: int
    mode: str
    transparent: bool


def read_header(path: Path) -> ImageHeader | None:
    """The header of an image; None where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            if _orientation(image) in _LYING:
                width, height = height, width
            transparent = image.mode in _ALPHA_MODES or "transparency" in image.info
            return ImageHeader(path, height, width, image.mode, transparent)
    except Exception:  # noqa: BLE001  # as in `read_image`: decoders stumble over damage in ways of their own
        return None


def one_shape(files: Sequence[Path], size: tuple[int, int] | None, on_remark: OnRemark) -> tuple[int, int, int] | None:
    """The (height, width, channels) that images of a folder are brought to; None where no header can be read.

    One channel where all images are gray, else three.

    Args:
        files: of the folder.
        size: (height, width) that was asked for; None takes that of the images.
        on_remark: told of images of several modes, and of transparency, which is dropped.

    Raises:
        DataError: no size was asked for, and the images have several.
    """
    headers = [header for path in files if (header := read_header(path)) is not None]
    if not headers:
        return None
    if size is None:
        size = _one_size(headers)
    modes = Counter(header.mode for header in headers)
    channels = 1 if set(modes) <= GRAY_MODES else 3
    if len(modes) > 1:
        listed = ", ".join(f"{count} {mode}" for mode, count in modes.most_common())
        on_remark(f"images of several modes ({listed}): all are read as {'gray' if channels == 1 else 'RGB'}")
    transparent = [header.path for header in headers if header.transparent]
    if transparent:
        on_remark(
            f"{len(transparent)} images have transparency ({transparent[0].name}), which is dropped: such places keep "
            "the colour that is stored below, often black; paint them over a background if that matters"
        )
    return (*size, channels)


def _one_size(headers: Sequence[ImageHeader]) -> tuple[int, int]:
    sizes = Counter((header.height, header.width) for header in headers)
    (usual, _), *others = sizes.most_common()
    if others:
        named = [next(h for h in headers if (h.height, h.width) == size) for size in (usual, others[0][0])]
        first, second = (f"{header.path} is {header.height}x{header.width}" for header in named)
        raise DataError(
            f"images of {len(sizes)} sizes: {first}, {second}; "
            f"resize them, or give --image-size {usual[0]}x{usual[1]} to have it done"
        )
    return usual


def _orientation(image: Any) -> int:
    # A PNG that has no EXIF before its pixels would be decoded to look for it behind them.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))
