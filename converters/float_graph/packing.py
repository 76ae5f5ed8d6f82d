"""A schema `ModelT` as the bytes of a `.tflite`."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

IDENTIFIER = b"TFL3"

_BUFFER_ALIGNMENT = 16
"""`force_align: 16` in the TFLite schema: kernels read weights from the file in place, some with aligned loads."""


def pack(model: Any) -> bytes:
    """The file, its buffers aligned."""
    builder = _AlignedBuilder(1 << 16)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    """A builder that aligns byte vectors as the TFLite schema asks; the generated Python code does not."""

    def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802  # the name is flatbuffers'
        """Write a numpy vector, bytes at a multiple of 16."""
        if x.dtype != np.uint8:
            return super().CreateNumpyVector(x)
        return self.CreateByteVector(x.tobytes())

    def CreateByteVector(self, x: bytes) -> int:  # noqa: N802  # the name is flatbuffers'
        """Write bytes at a multiple of 16."""
        self.StartVector(1, len(x), _BUFFER_ALIGNMENT)
        start = self.head - len(x)
        self.head = start
        self.Bytes[start : start + len(x)] = x
        return self.EndVector()
