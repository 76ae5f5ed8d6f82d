"""Write the standard metadata into a `.tflite`: name, normalization of the input, labels of the output.

Follows the public schema metadata_schema.fbs 1.1.0, file identifier M001; the numbers below are its field positions.
Label files are members of a ZIP archive appended to the model, as that format asks.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np

from converters.float_graph.packing import pack
from converters.metadata.tflite_signature import sign
from edge_cnn.core.npz import stored_member
from edge_cnn.core.preprocessing import Preprocessing

METADATA_NAME = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"

_IDENTIFIER = b"M001"
_MIN_PARSER_VERSION = "1.0.0"
_IMAGE_PROPERTIES = 2
_NORMALIZATION_OPTIONS = 1
_TENSOR_AXIS_LABELS = 2
_RGB, _GRAYSCALE = 1, 2


def add_tflite_metadata(
    model: bytes, *, name: str, labels: Sequence[str], preprocessing: Preprocessing, producer: str
) -> bytes:
    """A copy of `model` with metadata, and with the signature `serving_default` from "input" to "scores".

    Args:
        model: the bytes of a `.tflite` with one input, an image, and one output, a score a class.
        name: of the model, for a person.
        labels: class names, in the order of the output.
        preprocessing: its mean and std go into the file in units of pixels.
        producer: what made the file, as the model's description.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    buffer: Any = schema.BufferT()
    buffer.data = np.frombuffer(_metadata(name, preprocessing, producer), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_NAME, len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    sign(tree)
    archive = io.BytesIO(pack(tree))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as members:
        # One line a label, so a line break inside one would shift all that follow.
        lines = (" ".join(label.splitlines()) for label in labels)
        members.writestr(stored_member(LABELS_FILE), "\n".join(lines) + "\n")
    return archive.getvalue()


def _metadata(name: str, preprocessing: Preprocessing, producer: str) -> bytes:
    builder = flatbuffers.Builder(1024)
    image = _table(builder, [_byte(0, _RGB if preprocessing.channels == 3 else _GRAYSCALE)])
    content = _table(builder, [_byte(0, _IMAGE_PROPERTIES), _offset(1, image)])
    normalization = _table(
        builder,
        [_offset(0, _floats(builder, preprocessing.mean)), _offset(1, _floats(builder, preprocessing.std))],
    )
    unit = _table(builder, [_byte(0, _NORMALIZATION_OPTIONS), _offset(1, normalization)])
    low = [(0 - m) / s for m, s in _per_channel(preprocessing)]
    high = [(255 - m) / s for m, s in _per_channel(preprocessing)]
    stats = _table(builder, [_offset(0, _floats(builder, high)), _offset(1, _floats(builder, low))])
    image_tensor = _table(
        builder,
        [
            _offset(0, builder.CreateString("image")),
            _offset(1, builder.CreateString(f"The image to classify: {preprocessing.describe()}.")),
            _offset(3, content),
            _offset(4, _vector(builder, [unit])),
            _offset(5, stats),
        ],
    )
    label_file = _table(
        builder,
        [
            _offset(0, builder.CreateString(LABELS_FILE)),
            _offset(1, builder.CreateString("Names of the classes, one a line.")),
            _byte(2, _TENSOR_AXIS_LABELS),
        ],
    )
    scores_tensor = _table(
        builder,
        [
            _offset(0, builder.CreateString("scores")),
            _offset(1, builder.CreateString("Score of each class.")),
            _offset(6, _vector(builder, [label_file])),
        ],
    )
    subgraph = _table(
        builder, [_offset(2, _vector(builder, [image_tensor])), _offset(3, _vector(builder, [scores_tensor]))]
    )
    root = _table(
        builder,
        [
            _offset(0, builder.CreateString(name)),
            _offset(1, builder.CreateString(producer)),
            _offset(3, _vector(builder, [subgraph])),
            _offset(7, builder.CreateString(_MIN_PARSER_VERSION)),
        ],
    )
    builder.Finish(root, _IDENTIFIER)
    return bytes(builder.Output())


_Field = tuple[int, Callable[[flatbuffers.Builder], None]]


def _byte(position: int, value: int) -> _Field:
    return position, lambda builder: builder.PrependUint8Slot(position, value, 0)


def _offset(position: int, offset: int) -> _Field:
    return position, lambda builder: builder.PrependUOffsetTRelativeSlot(position, offset, 0)


def _table(builder: flatbuffers.Builder, fields: list[_Field]) -> int:
    builder.StartObject(1 + max(position for position, _ in fields))
    for _, write in fields:
        write(builder)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()


def _per_channel(preprocessing: Preprocessing) -> list[tuple[float, float]]:
    count = max(len(preprocessing.mean), len(preprocessing.std))
    means = preprocessing.mean * (count // len(preprocessing.mean))
    stds = preprocessing.std * (count // len(preprocessing.std))
    return list(zip(means, stds, strict=True))
