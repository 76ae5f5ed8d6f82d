"""An image as PNG bytes, with nothing but zlib, so that a report looks the same whatever is installed."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_COLOUR_TYPES = {1: 0, 3: 2}
"""Channels -> the colour type in the header: grey, RGB (PNG specification, 11.2.2)."""


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """A PNG file of `image`, uint8 (height, width, channels) with 1 or 3 channels."""
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    # Every row starts with the number of its filter; 0 leaves the bytes as they are.
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
