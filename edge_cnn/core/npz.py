"""`.npz` bytes that are the same for the same arrays, read without pickle and within a size limit."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest date a ZIP can hold; a real one would make equal content unequal."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Version 3 differs in names of fields beyond Latin-1 only, which no array of numbers or texts has."""


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
            # Not ascontiguousarray, which gives a number a dimension.
            np.lib.format.write_array(member, np.asarray(arrays[name], order="C"), allow_pickle=False)
            archive.writestr(stored_member(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def unpack_npz(data: bytes, *, name: str, max_bytes: int) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz`.

    Args:
        data: the file's bytes.
        name: of the file, for messages.
        max_bytes: limit of the unpacked size.

    Raises:
        DataError: not an `.npz`, damaged, holds Python objects or something else than arrays, unpacks to more than
            `max_bytes`, or does not fit into memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > max_bytes:
                raise DataError(f"{name} unpacks to {size} bytes, the limit is {max_bytes}; split it")
            return {info.filename.removesuffix(".npy"): _read_member(archive, info) for info in archive.infolist()}
    except MemoryError:
        raise DataError(f"{name} does not fit into the memory of this machine; split it") from None
    except DataError:
        raise
    # Damaged bytes bring up a dozen types, down to those of zlib and of the tokenizer behind numpy's headers.
    except Exception as error:
        detail = " ".join(str(error).split())
        raise DataError(f"{name} is not a readable .npz: {detail}; save it again with numpy.savez") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, whose header is held against the member's size before anything is allocated for it."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename!r} is compressed with method {info.compress_type}")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"{info.filename!r} has .npy version {version}")
        shape, _, dtype = _HEADERS[version](member)
        if dtype.hasobject:
            raise ValueError(f"{info.filename!r} holds Python objects; give it a type first, as y.astype(str)")
        told = math.prod(shape) * dtype.itemsize
        held = info.file_size - member.tell()
        if min(shape, default=0) < 0 or told != held:
            raise ValueError(f"{info.filename!r} tells of shape {shape} and {dtype} but holds {held} bytes")
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)
