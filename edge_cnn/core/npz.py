"""`.npz` bytes that are the same for the same arrays, read without pickle and within a size limit."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest date a ZIP can hold; a real one would make equal content unequal."""


def stored_member(name: str) -> zipfile.ZipInfo:
    """A ZIP member header without clock, user or system in it."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def pack_npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Arrays -> the bytes of an uncompressed `.npz`, sorted by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(stored_member(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def unpack_npz(data: bytes, *, name: str, max_bytes: int) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz`.

    Args:
        data: the file's bytes.
        name: of the file, for messages.
        max_bytes: limit of the unpacked size.

    Raises:
        DataError: not an `.npz`, damaged, holds Python objects, or unpacks to more than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > max_bytes:
                raise DataError(f"{name} unpacks to {size} bytes, the limit is {max_bytes}; split it")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{name} is not a readable .npz: {error}; save it again with numpy.savez") from error
