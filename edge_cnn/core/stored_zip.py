"""Reads ZIP archives whose members are stored one after the other (PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.16).

The standard library's `zipfile` reads far more than a bundle may be, and its import is a tenth of a cold start on a
small board. This reader takes only what `npz.stored_member` writes: no comment, no extra fields, no encryption, no
64-bit sizes, local headers that agree with the directory, and no byte that belongs to nothing.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

STORED = 0

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_UTF8_FLAG = 0x800


@dataclass(frozen=True)
class Member:
    """A member as the directory describes it; nothing of it has been checked against its content.

    Attributes:
        name: file name.
        method: 0 for stored, 8 for deflated.
        mode: Unix mode bits, 0 where none are given.
        size: unpacked, in bytes.
        crc: CRC-32 of the content.
        offset: of the local header.
    """

    name: str
    method: int
    mode: int
    size: int
    crc: int
    offset: int


def list_members(data: bytes) -> list[Member]:
    """The directory of the archive.

    Raises:
        ValueError: truncated, or not an archive of this kind.
    """
    if len(data) < _END.size:
        raise ValueError("it is too short for a ZIP archive")
    start = len(data) - _END.size
    signature, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(data, start)
    if signature != b"PK\5\6" or comment or disk or first_disk or here != count:
        raise ValueError("the end of a ZIP archive is missing; was the copy interrupted?")
    if offset + size != start:
        raise ValueError("the directory of the ZIP archive is not where it should be")
    members: list[Member] = []
    position, content_end = offset, 0
    for _ in range(count):
        if position + _CENTRAL.size > start:
            raise ValueError("the directory of the ZIP archive is cut")
        fields = _CENTRAL.unpack_from(data, position)
        flags, method, crc, packed, unpacked = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_size, extra, remark, external, header = fields[10], fields[11], fields[12], fields[15], fields[16]
        position += _CENTRAL.size
        if fields[0] != b"PK\1\2" or extra or remark or flags & ~_UTF8_FLAG or position + name_size > start:
            raise ValueError("the directory of the ZIP archive is damaged, or another program wrote it")
        if method == STORED and packed != unpacked:
            raise ValueError("a stored member has two sizes")
        if header != content_end:
            raise ValueError("the members do not follow each other without gaps")
        content_end += _LOCAL.size + name_size + packed
        name = data[position : position + name_size].decode("utf-8")
        members.append(Member(name, method, external >> 16, unpacked, crc, header))
        position += name_size
    if position != start:
        raise ValueError("the directory of the ZIP archive is longer than its members")
    if content_end != offset:
        raise ValueError("the members do not fill the ZIP archive")
    return members


def read_member(data: bytes, member: Member) -> bytes:
    """The content of a stored member.

    Raises:
        ValueError: its local header or its CRC-32 does not fit.
    """
    begin = member.offset + _LOCAL.size
    if begin > len(data):
        raise ValueError(f"member {member.name!r} lies outside the file")
    fields = _LOCAL.unpack_from(data, member.offset)
    name = data[begin : begin + fields[9]]
    agrees = fields[3] == member.method == STORED and (fields[6], fields[7], fields[8]) == (
        member.crc,
        member.size,
        member.size,
    )
    if fields[0] != b"PK\3\4" or fields[10] or not agrees or name != member.name.encode():
        raise ValueError(f"member {member.name!r} does not agree with the directory")
    content = data[begin + len(name) : begin + len(name) + member.size]
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise ValueError(f"member {member.name!r} is damaged: its checksum is wrong")
    return content
