"""The ZIP archive behind a `.tflite` model, where the standard metadata keeps label files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from edge_cnn.core.npz import stored_member


def split_archive(data: bytes) -> tuple[bytes, dict[str, bytes]]:
    """A file as (the model, members of the archive behind it by name); no members where there is no archive."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data, {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if not members:
            return data, {}
        return data[: min(member.header_offset for member in members)], {m.filename: archive.read(m) for m in members}


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
