"""Vectors of another length in a FlatBuffer: new ones go behind the end, and the fields that name them are re-pointed.

An offset counts forward from its own place, so a field anywhere in the file can name a vector behind all of it, and
nothing else has to move. What the old vector took stays in the file, unused.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.tflite.flatbuffer import Table, damaged

MAX_BYTES = 2**31 - 1
"""FlatBuffers are at most so large."""


class Appendix:
    """A copy of a file that grows at its end.

    Args:
        data: the FlatBuffer, with nothing behind it.
    """

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def replace(self, table: Table, field: int, values: NDArray[Any], *, alignment: int = 0) -> None:
        """Let a field that names a vector of scalars name a new one.

        Args:
            table: of the original file.
            field: its position in the schema; the file must have it.
            values: the new elements (n,).
            alignment: of the first element in bytes, at least that of the element type.

        Raises:
            ModelError: the file has no such field, or would become too large.
        """
        position = table.field(field, 4)
        if position is None:
            raise damaged(f"field {field} of the table at byte {table.position} is not there")
        stored = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        step = max(alignment, stored.itemsize, 4)
        # The length stands in the four bytes before the first element.
        self.data += bytes(-(len(self.data) + 4) % step)
        start = len(self.data)
        self.data += struct.pack("<I", len(stored)) + stored.tobytes()
        if len(self.data) > MAX_BYTES:
            raise damaged(f"with the new classes it would take {len(self.data)} bytes, the limit is {MAX_BYTES}")
        struct.pack_into("<I", self.data, position, start - position)

    def shorten(self, start: int, values: NDArray[Any]) -> None:
        """Overwrite the vector whose first element is at `start` by one that is no longer, in its own place."""
        stored = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        struct.pack_into("<I", self.data, start - 4, len(stored))
        self.data[start : start + stored.nbytes] = stored.tobytes()
