"""The protobuf wire format, as much as `.onnx` files need: fields with their places, and messages with some replaced.

Positions are absolute offsets into the file, so that an edit says exactly which bytes it replaces. Reading checks every
length against its enclosing message before it is used; no list grows beyond the bytes that are there.
Wire types as in the protobuf encoding guide: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes; ONNX uses no
groups (3, 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_cnn.core.errors import ModelError

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES = 10

Span = tuple[int, int]
"""Absolute offsets (start, end) into the file."""


@dataclass(frozen=True)
class Field:
    """One field of a message, as it lies in the file.

    Attributes:
        number: field number of the message's schema.
        wire_type: one of `VARINT`, `FIXED64`, `DELIMITED`, `FIXED32`.
        span: the whole field, tag included.
        value: the payload: without tag and, for `DELIMITED`, without its length.
        varint: the value of a `VARINT` field as an unsigned number of 64 bits, else 0.
    """

    number: int
    wire_type: int
    span: Span
    value: Span
    varint: int = 0

    @property
    def signed(self) -> int:
        """A `VARINT` value as int32 or int64: negative numbers are stored as 64-bit two's complements."""
        return as_signed(self.varint)


def damaged(what: str) -> ModelError:
    """The error for bytes that no writer of `.onnx` files makes."""
    return ModelError(f"damaged .onnx: {what}; copy or export the file again")


def as_signed(value: int) -> int:
    """An unsigned number of 64 bits as a two's complement."""
    return value - (1 << 64) if value >= 1 << 63 else value


def read_varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The number at `start`, unsigned of 64 bits, and the offset after it.

    Raises:
        ModelError: it does not end before `end`, or has more than 10 bytes.
    """
    value = shift = 0
    for position in range(start, min(end, start + _MAX_VARINT_BYTES)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), position + 1
        shift += 7
    raise damaged(f"the number at byte {start} does not end")


def read_fields(data: bytes, span: Span) -> Iterator[Field]:
    """The fields of the message that fills `span`, in the order of the file.

    Raises:
        ModelError: a field goes beyond the message, or its tag is not valid.
    """
    position, end = span
    while position < end:
        start = position
        tag, position = read_varint(data, start, end)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise damaged(f"no field number {number} can stand at byte {start}")
        if wire_type == VARINT:
            varint, after = read_varint(data, position, end)
            yield Field(number, wire_type, (start, after), (position, after), varint)
        else:
            if wire_type == DELIMITED:
                length, position = read_varint(data, position, end)
            elif wire_type in _FIXED_BYTES:
                length = _FIXED_BYTES[wire_type]
            else:
                raise damaged(f"unknown wire type {wire_type} at byte {start}")
            after = position + length
            if after > end:
                raise damaged(f"the field at byte {start} is {after - end} bytes longer than what holds it")
            yield Field(number, wire_type, (start, after), (position, after))
        position = after


def read_text(data: bytes, field: Field) -> str:
    """The value of a string field. Raises: ModelError: not a string, or not UTF-8."""
    try:
        return read_bytes(data, field).decode()
    except UnicodeDecodeError:
        raise damaged(f"the text at byte {field.value[0]} is not UTF-8") from None


def read_bytes(data: bytes, field: Field) -> bytes:
    """The value of a bytes, string or message field. Raises: ModelError: another wire type."""
    start, end = read_message(field)
    return data[start:end]


def read_message(field: Field) -> Span:
    """Where the message in `field` lies. Raises: ModelError: another wire type."""
    if field.wire_type != DELIMITED:
        raise damaged(f"field {field.number} at byte {field.span[0]} has wire type {field.wire_type}, not {DELIMITED}")
    return field.value


def read_integers(data: bytes, field: Field) -> list[int]:
    """One field of a repeated int32 or int64, packed or not, as signed numbers.

    Raises:
        ModelError: neither form.
    """
    if field.wire_type == VARINT:
        return [field.signed]
    position, end = read_message(field)
    values: list[int] = []
    while position < end:
        value, position = read_varint(data, position, end)
        values.append(as_signed(value))
    return values


def read_integer(field: Field) -> int:
    """The value of an int32, int64 or enum field. Raises: ModelError: another wire type."""
    if field.wire_type != VARINT:
        raise damaged(f"field {field.number} at byte {field.span[0]} has wire type {field.wire_type}, not {VARINT}")
    return field.signed


def read_float(data: bytes, field: Field) -> float:
    """The value of a float field. Raises: ModelError: another wire type."""
    if field.wire_type != FIXED32:
        raise damaged(f"field {field.number} at byte {field.span[0]} has wire type {field.wire_type}, not {FIXED32}")
    return float(struct.unpack_from("<f", data, field.value[0])[0])


def encode_varint(value: int, width: int = 0) -> bytes:
    """`value` (negative ones as 64-bit two's complements), in the least bytes, or padded to `width` of them.

    A padded number ends with continuation bytes that add nothing; every protobuf reader takes it, and it keeps a file's
    size.
    """
    rest = value & (2**64 - 1)
    groups = [rest & 0x7F]
    while rest := rest >> 7:
        groups.append(rest & 0x7F)
    groups += [0] * (width - len(groups))
    return bytes([g | 0x80 for g in groups[:-1]] + groups[-1:])


def encode_delimited(number: int, payload: bytes, length_width: int = 0) -> bytes:
    """A length-delimited field; its length takes at least `length_width` bytes."""
    return encode_varint(number << 3 | DELIMITED) + encode_varint(len(payload), length_width) + payload


def encode_integer(number: int, value: int) -> bytes:
    """A varint field."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def encode_text(number: int, text: str) -> bytes:
    """A string field."""
    return encode_delimited(number, text.encode())


def rewrite(data: bytes, edits: Mapping[Span, bytes]) -> bytes:
    """The message `data` with the fields at some spans replaced by other bytes.

    The fields may lie at any depth; the lengths of the messages around them are corrected. Everything else is copied
    byte for byte.

    Args:
        data: a whole message.
        edits: span of a field (tag included) -> what stands there instead, b"" to drop it. Spans do not overlap.

    Raises:
        ModelError: `data` is damaged.
        ValueError: a span is not that of a field.
    """
    remaining = sorted(edits.items(), reverse=True)
    rewritten = _rewrite_message(data, (0, len(data)), remaining)
    if remaining:
        raise ValueError(f"no field spans bytes {remaining[-1][0]}")
    return rewritten


def _rewrite_message(data: bytes, span: Span, remaining: list[tuple[Span, bytes]]) -> bytes:
    """Takes the edits within `span` off the end of `remaining`, which is sorted backwards."""
    pieces: list[bytes] = []
    copied = span[0]
    for field in read_fields(data, span):
        if not remaining or remaining[-1][0][0] >= field.span[1]:
            continue
        (start, end), replacement = remaining[-1]
        if (start, end) == field.span:
            remaining.pop()
        elif field.wire_type == DELIMITED and field.value[0] <= start and end <= field.value[1]:
            inner = _rewrite_message(data, field.value, remaining)
            _, length_start = read_varint(data, *field.span)
            replacement = data[field.span[0] : length_start]
            replacement += encode_varint(len(inner), field.value[0] - length_start) + inner
        else:
            raise ValueError(f"no field spans bytes {(start, end)}")
        pieces += [data[copied : field.span[0]], replacement]
        copied = field.span[1]
    pieces.append(data[copied : span[1]])
    return b"".join(pieces)
