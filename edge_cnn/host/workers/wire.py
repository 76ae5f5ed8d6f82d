"""Messages between workers: a length, an object in JSON, and bytes after it. Nothing that is read is executed."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct("!IQ")
MAX_HEADER, MAX_BODY = 2**20, 2**33
"""Bytes; what claims to be longer does not come from a worker."""


class BrokenMessageError(Exception):
    """The other side has gone, or is no worker."""


def send(connection: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """Raises: OSError: the connection has gone."""
    text = json.dumps(header).encode()
    connection.sendall(_LENGTHS.pack(len(text), len(body)) + text)
    connection.sendall(body)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message.

    Raises:
        BrokenMessageError: the connection ended, or what came is no message.
        TimeoutError: nothing came in the connection's time.
    """
    header_length, body_length = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if header_length > MAX_HEADER or body_length > MAX_BODY:
        raise BrokenMessageError(f"a message of {header_length} + {body_length} bytes")
    try:
        header = json.loads(_exactly(connection, header_length))
    except ValueError as error:
        raise BrokenMessageError("no JSON") from error
    if not isinstance(header, dict):
        raise BrokenMessageError("no object")
    return header, _exactly(connection, body_length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        try:
            part = connection.recv(min(count, 2**20))
        except TimeoutError:
            raise
        except OSError as error:
            raise BrokenMessageError(str(error)) from error
        if not part:
            raise BrokenMessageError("the connection ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
