"""The ZIP archive behind a `.tflite` model, where the standard metadata keeps label files."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence

from edge_cnn.core.npz import stored_member
from edge_cnn.device.tflite.flatbuffer import damaged

MAX_ARCHIVE_BYTES = 64 * 2**20
"""Of all members, unpacked: label files in many languages take a few MB."""


def split_archive(data: bytes) -> tuple[bytes, dict[str, bytes]]:
    """A file as (the model, members of the archive behind it by name); no members where there is no archive.

    Raises:
        ModelError: the archive is damaged, or unpacks to more than `MAX_ARCHIVE_BYTES`.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data, {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if not members:
                return data, {}
            if sum(member.file_size for member in members) > MAX_ARCHIVE_BYTES:
                raise damaged(f"the files behind the model take more than {MAX_ARCHIVE_BYTES} bytes")
            start = min(member.header_offset for member in members)
            return data[:start], {member.filename: archive.read(member) for member in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise damaged(f"the archive of label files behind the model: {error}") from error


def join_archive(model: bytes, members: dict[str, bytes]) -> bytes:
    """The file with the archive behind the model, members stored and without times: equal input gives equal bytes."""
    if not members:
        return model
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(stored_member(name), content)
    return buffer.getvalue()


def label_lines(labels: Sequence[str]) -> bytes:
    """The content of a label file: one name a line."""
    return ("\n".join(labels) + "\n").encode()
