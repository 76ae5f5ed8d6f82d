"""What a host and the agent on a device say to each other over a pipe.

A message is a fixed prefix (mark, header length, body length), a JSON header and the raw bytes of its arrays, C order,
little endian. No pickle, and every length is checked before anything is read or allocated: the other side may be
another version, or broken.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DeviceUnavailableError

PROTOCOL_VERSION = 2
MAX_HEADER_BYTES = 2**20
MAX_BODY_BYTES = 2**31
"""Room for the largest artifact; inputs are sent in small batches."""

DTYPES = frozenset({"uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bool"})

_PREFIX = struct.Struct("<4sIQ")
_MARK = b"ECA1"


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        header: JSON values; the key "arrays" belongs to the protocol.
        arrays: any of `DTYPES`.
    """

    header: dict[str, Any]
    arrays: tuple[NDArray[Any], ...] = ()


def write_message(stream: IO[bytes], header: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> None:
    """Send one message and flush.

    Raises:
        DeviceUnavailableError: an array's dtype cannot be sent, or the message is too large.
    """
    for array in arrays:
        if array.dtype.name not in DTYPES:
            raise DeviceUnavailableError(f"the agent's pipe does not carry {array.dtype} arrays; convert them")
    shapes = [{"dtype": a.dtype.name, "shape": list(a.shape)} for a in arrays]
    text = json.dumps({**header, "arrays": shapes}, allow_nan=False).encode()
    size = sum(a.nbytes for a in arrays)
    if len(text) > MAX_HEADER_BYTES or size > MAX_BODY_BYTES:
        raise DeviceUnavailableError(
            f"a message of {len(text)} + {size} bytes exceeds the agent's limits of {MAX_HEADER_BYTES} + "
            f"{MAX_BODY_BYTES}; send smaller batches"
        )
    stream.write(_PREFIX.pack(_MARK, len(text), size) + text)
    for array in arrays:
        stream.write(_little_endian(array).tobytes())
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """Receive one message; None where the other side has closed the pipe between two messages.

    Raises:
        DeviceUnavailableError: the bytes are no message, or exceed the limits, or end in the middle.
    """
    prefix = stream.read(_PREFIX.size)
    if not prefix:
        return None
    if len(prefix) < _PREFIX.size:
        raise _broken("it ends within a prefix")
    mark, header_bytes, body_bytes = _PREFIX.unpack(prefix)
    if mark != _MARK:
        raise _broken(f"it starts with {mark!r}, not {_MARK!r}")
    if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise _broken(f"it announces {header_bytes} + {body_bytes} bytes, beyond the limits")
    try:
        header: dict[str, Any] = json.loads(_read_exactly(stream, header_bytes))
        layout = [(str(a["dtype"]), tuple(int(d) for d in a["shape"])) for a in header.pop("arrays")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(f"its header is wrong: {type(error).__name__}: {error}") from error
    if any(dtype not in DTYPES or any(d < 0 for d in shape) for dtype, shape in layout):
        raise _broken("it announces arrays of unknown dtype or negative size")
    sizes = [np.dtype(dtype).itemsize * math.prod(shape) for dtype, shape in layout]
    if sum(sizes) != body_bytes:
        raise _broken(f"its arrays take {sum(sizes)} bytes, its body {body_bytes}")
    arrays = tuple(
        _native(np.frombuffer(_read_exactly(stream, size), np.dtype(dtype).newbyteorder("<"))).reshape(shape)
        for (dtype, shape), size in zip(layout, sizes, strict=True)
    )
    return Message(header, arrays)


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise _broken(f"it ends after {len(data)} of {size} bytes")
    return data


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<"))


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("="))


def _broken(detail: str) -> DeviceUnavailableError:
    return DeviceUnavailableError(
        f"the agent's pipe carried a broken message: {detail}; are both sides the same version of edge_cnn?"
    )
