"""4-bit codes as a `.tflite` stores them: two a byte, the earlier one in the lower half, without gaps between rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INT4_LIMIT = 7
"""Largest code of symmetric weights; the smallest is its negative."""


def packed_size(count: int) -> int:
    """Bytes that `count` codes take."""
    return (count + 1) // 2


def pack_int4(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """int8 codes in [-8, 7] of any shape -> bytes; an odd last one stands alone."""
    flat = codes.reshape(-1)
    if flat.size % 2:
        flat = np.append(flat, np.int8(0))
    halves = flat.astype(np.int8).view(np.uint8) & np.uint8(15)
    return halves[0::2] | (halves[1::2] << np.uint8(4))


def unpack_int4(packed: NDArray[np.uint8], count: int) -> NDArray[np.int8]:
    """The first `count` codes of what `pack_int4` made, int8 (count,)."""
    halves = np.stack([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.where(halves > 7, halves - np.int8(16), halves).astype(np.int8)
