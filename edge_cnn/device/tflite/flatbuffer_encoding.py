"""New FlatBuffers objects as bytes that can stand anywhere in a file: offsets count from their own place.

Every object holds its children behind itself and starts at a multiple of 4, so that objects can be put one after the
other. What needs more alignment than that is placed by the caller.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Encoded:
    """An object.

    Attributes:
        content: a multiple of 4 bytes, children included.
        anchor: where in them an offset to the object points.
    """

    content: bytes
    anchor: int = 0


def encode_string(text: str) -> Encoded:
    """A string: length, UTF-8, a zero byte."""
    content = text.encode()
    return Encoded(_padded(struct.pack("<I", len(content)) + content + b"\0"))


def encode_vector(objects: Sequence[Encoded]) -> Encoded:
    """A vector of tables or strings."""
    head = bytearray(struct.pack("<I", len(objects)) + bytes(4 * len(objects)))
    return Encoded(_with_children(head, [(4 + 4 * i, child) for i, child in enumerate(objects)]))


def encode_table(fields: dict[int, int | Encoded], *, bytes_of: dict[int, int] | None = None) -> Encoded:
    """A table.

    Args:
        fields: position in the schema -> an integer, or an object.
        bytes_of: size of the integers that do not take 4 bytes.
    """
    count = 1 + max(fields, default=-1)
    vtable = bytearray(-(-(4 + 2 * count) // 4) * 4)
    table = bytearray(4)
    children: list[tuple[int, Encoded]] = []
    for index, value in sorted(fields.items()):
        struct.pack_into("<H", vtable, 4 + 2 * index, len(table))
        if isinstance(value, Encoded):
            children.append((len(vtable) + len(table), value))
            table += bytes(4)
        else:
            table += _padded(value.to_bytes((bytes_of or {}).get(index, 4), "little"))
    struct.pack_into("<HH", vtable, 0, 4 + 2 * count, len(table))
    # A table starts with how far before it its vtable stands.
    struct.pack_into("<i", table, 0, len(vtable))
    return Encoded(_with_children(vtable + table, children), len(vtable))


def encode_file(root: Encoded, identifier: bytes) -> bytes:
    """A whole FlatBuffer with its 4-byte identifier."""
    return struct.pack("<I", 8 + root.anchor) + identifier + root.content


def _with_children(head: bytearray, children: Sequence[tuple[int, Encoded]]) -> bytes:
    result = bytearray(head)
    for place, child in children:
        struct.pack_into("<I", result, place, len(result) + child.anchor - place)
        result += child.content
    return bytes(result)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
