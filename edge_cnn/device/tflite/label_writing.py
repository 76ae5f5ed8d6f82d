"""Give a `.tflite` file that tells no class names the standard metadata that does.

Offsets in a FlatBuffer count forward, so a longer vector of tables has to stand before the tables that it names: a new
root with new vectors of buffers and of metadata entries is put in front, and the file follows unchanged.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from edge_cnn.core.errors import ModelError
from edge_cnn.device.tflite.file import IDENTIFIER
from edge_cnn.device.tflite.flatbuffer import Table, read_root
from edge_cnn.device.tflite.flatbuffer_encoding import Encoded, encode_file, encode_string, encode_table, encode_vector
from edge_cnn.device.tflite.metadata import ENTRY, METADATA_IDENTIFIER, TENSOR_AXIS_LABELS

LABELS_FILE = "labels.txt"
_MIN_PARSER_VERSION = "1.0.0"
_BUFFERS, _METADATA, _ROOT_FIELDS = 4, 6, 10
_ALIGNMENT = 16
"""What follows keeps its alignment if it moves by a multiple of this, the largest in the schema."""


def name_label_file(flatbuffer: bytes) -> bytes:
    """The model with metadata that names `LABELS_FILE` as the label file of its only output.

    Args:
        flatbuffer: a model without `TFLITE_METADATA`, nothing behind it.

    Raises:
        ModelError: it keeps buffers behind the model, as files beyond 2 GB do, whose places cannot move.
    """
    root = read_root(flatbuffer, IDENTIFIER)
    buffers, entries = root.tables(_BUFFERS), root.tables(_METADATA)
    if any(table.field(1, 8) is not None for table in buffers):
        raise ModelError("the file keeps its buffers behind the model, so it cannot take class names; use an .onnx")
    present = [i for i in range(_ROOT_FIELDS) if root.field(i, 4) is not None or i in (_BUFFERS, _METADATA)]
    front = bytearray(encode_file(encode_table(dict.fromkeys(present, 0)), IDENTIFIER))
    new_root = read_root(bytes(front), IDENTIFIER)
    vectors = {_BUFFERS: len(front), _METADATA: len(front) + 4 * (len(buffers) + 2)}
    front += struct.pack("<I", len(buffers) + 1) + bytes(4 * (len(buffers) + 1))
    front += struct.pack("<I", len(entries) + 1) + bytes(4 * (len(entries) + 1))
    # An entry of the vectors points forward, so what they name that is new stands here.
    entry_place = _append(front, encode_table({0: encode_string(ENTRY), 1: len(buffers)}))
    metadata = _label_metadata()
    buffer = encode_table({0: Encoded(struct.pack("<I", len(metadata)) + metadata + bytes(-len(metadata) % 4))})
    content_offset = len(buffer.content) - len(metadata) - (-len(metadata) % 4)
    front += bytes(-(len(front) + content_offset) % _ALIGNMENT)
    buffer_place = _append(front, buffer)
    front += bytes(-len(front) % _ALIGNMENT)
    _fill(front, vectors[_BUFFERS], buffers, buffer_place)
    _fill(front, vectors[_METADATA], entries, entry_place)
    for index in present:
        place, stored = new_root.field(index, 4), root.field(index, 4)
        assert place is not None
        if index == 0:
            value = root.scalar(0, "<I")
        elif index in vectors:
            value = vectors[index] - place
        else:
            assert stored is not None
            value = len(front) + stored + struct.unpack_from("<I", flatbuffer, stored)[0] - place
        struct.pack_into("<I", front, place, value)
    return bytes(front) + flatbuffer


def _append(front: bytearray, part: Encoded) -> int:
    """Put an object at the end; its place is returned."""
    place = len(front) + part.anchor
    front += part.content
    return place


def _fill(front: bytearray, vector: int, old: Sequence[Table], new: int) -> None:
    """The offsets of a vector: to the old tables, which follow the front part, and to one in it."""
    for index, target in enumerate([*(len(front) + table.position for table in old), new]):
        place = vector + 4 + 4 * index
        struct.pack_into("<I", front, place, target - place)


def _label_metadata() -> bytes:
    """ModelMetadata of metadata_schema.fbs: one graph whose output has a label file."""
    file = encode_table({0: encode_string(LABELS_FILE), 2: TENSOR_AXIS_LABELS}, bytes_of={2: 1})
    output = encode_table({6: encode_vector([file])})
    graph = encode_table({3: encode_vector([output])})
    root = encode_table({3: encode_vector([graph]), 7: encode_string(_MIN_PARSER_VERSION)})
    return encode_file(root, METADATA_IDENTIFIER)
