from __future__ import annotations

import contextlib
import io
import zipfile
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.tflite.metadata import MAX_LABEL_BYTES, MAX_MEMBERS, read_tflite_metadata

flatbuffers: Any = pytest.importorskip("flatbuffers")
schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

LABELS = ("cat", "dog", "grüner Wal")
GRAY = Preprocessing(4, 6, 1, (127.5,), (63.75,))
RGB = Preprocessing(4, 6, 3, (1.0, 2.0, 3.0), (10.0, 20.0, 40.0))


def model(channels: int = 1, metadata: bytes | None = None) -> bytes:
    """An image in, a RELU of it out, with `metadata` in the buffer that the standard names."""
    tree = schema.ModelT()
    tree.version = 3
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    tree.operatorCodes = [code]
    graph = schema.SubGraphT()
    graph.tensors = []
    for name in (b"image", b"scores"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, [1, 4, 6, channels], 0
        graph.tensors.append(tensor)
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [1]
    graph.operators, graph.inputs, graph.outputs = [op], [0], [1]
    tree.subgraphs, tree.buffers = [graph], [schema.BufferT()]
    if metadata is not None:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(metadata, np.uint8)
        entry.name, entry.buffer = b"TFLITE_METADATA", 1
        tree.buffers.append(buffer)
        tree.metadata = [entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def described(preprocessing: Preprocessing, labels: tuple[str, ...] = LABELS) -> bytes:
    """A model as the host's exporter describes it, which writes with the FlatBuffers package."""
    writer = pytest.importorskip("converters.metadata.tflite_metadata")
    return writer.add_tflite_metadata(
        model(preprocessing.channels), name="m", labels=labels, preprocessing=preprocessing, producer="test"
    )


def metadata(
    mean: list[float] | None, std: list[float] | None, files: list[tuple[str, int, str]], identifier: bytes = b"M001"
) -> bytes:
    """ModelMetadata with one input's normalization and one output's associated files (name, type, locale)."""
    builder = flatbuffers.Builder(256)

    def table(fields: dict[int, Any]) -> int:
        builder.StartObject(8)
        for position, value in fields.items():
            if isinstance(value, tuple):
                builder.PrependUint8Slot(position, value[0], 0)
            else:
                builder.PrependUOffsetTRelativeSlot(position, value, 0)
        return builder.EndObject()

    def tables(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def floats(values: list[float]) -> int:
        return builder.CreateNumpyVector(np.array(values, np.float32))

    options = {}
    if mean is not None:
        options[0] = floats(mean)
    if std is not None:
        options[1] = floats(std)
    unit = table({0: (1,), 1: table(options)})
    source = table({4: tables([unit])})
    associated = []
    for name, kind, locale in files:
        words = {0: builder.CreateString(name)} | ({3: builder.CreateString(locale)} if locale else {})
        associated.append(table(words | {2: (kind,)}))
    scores = table({6: tables(associated)})
    subgraph = table({2: tables([source]), 3: tables([scores])})
    builder.Finish(table({3: tables([subgraph])}), identifier)
    return bytes(builder.Output())


def with_members(data: bytes, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Artifact:
    file = io.BytesIO(data)
    if members:
        with zipfile.ZipFile(file, "a", compression) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    return Artifact("model.tflite", TFLITE, file.getvalue())


LABEL_FILE = [("labels.txt", 2, "")]


@pytest.mark.parametrize("preprocessing", [GRAY, RGB])
def test_what_the_exporter_wrote_is_read_back(preprocessing):
    labels, normalization = read_tflite_metadata(Artifact("m.tflite", TFLITE, described(preprocessing)))
    assert labels == LABELS
    assert normalization == (preprocessing.mean, preprocessing.std)


def test_a_file_without_metadata_has_none(tflite_models):
    assert read_tflite_metadata(Artifact("m.tflite", TFLITE, model())) == (None, None)
    assert read_tflite_metadata(tflite_models["int8"]) == (None, None)


def test_a_damaged_model_is_a_model_error():
    with pytest.raises(ModelError, match=r"damaged \.tflite"):
        read_tflite_metadata(Artifact("m.tflite", TFLITE, model()[:-200]))


def test_labels_may_be_compressed_and_have_dos_line_ends_and_a_byte_order_mark():
    data = model(1, metadata([0.0], [255.0], LABEL_FILE))
    content = "\ufeffcat\r\ndog\r\n\r\n".encode()
    artifact = with_members(data, {"labels.txt": content}, zipfile.ZIP_DEFLATED)
    assert read_tflite_metadata(artifact) == (("cat", "dog"), ((0.0,), (255.0,)))


def test_an_empty_line_between_labels_keeps_the_others_in_their_place():
    artifact = with_members(model(1, metadata([0.0], [1.0], LABEL_FILE)), {"labels.txt": b"cat\n\ndog\n"})
    assert read_tflite_metadata(artifact)[0] == ("cat", "", "dog")


def test_of_several_label_files_the_one_without_a_language_counts():
    files = [("notes.txt", 1, ""), ("labels_de.txt", 2, "de"), ("labels.txt", 2, "")]
    members = {"labels_de.txt": b"Katze\n", "labels.txt": b"cat\n", "notes.txt": b"none\n"}
    artifact = with_members(model(1, metadata([0.0], [1.0], files)), members)
    assert read_tflite_metadata(artifact)[0] == ("cat",)


@pytest.mark.parametrize(
    ("mean", "std", "channels"),
    [
        ([0.0], [0.0], 1),
        ([0.0], [-1.0], 1),
        ([float("nan")], [1.0], 1),
        ([0.0], [float("inf")], 1),
        ([0.0] * 3, [1.0] * 3, 1),
        ([0.0] * 4, [1.0] * 4, 3),
        ([], [], 1),
        ([0.0], None, 1),
        (None, [1.0], 1),
        ([0.0], [1.0], 7),  # no image, hence no pixels to normalize
    ],
)
def test_a_normalization_that_makes_no_sense_is_left_out(mean, std, channels):
    artifact = with_members(model(channels, metadata(mean, std, LABEL_FILE)), {"labels.txt": b"cat\n"})
    assert read_tflite_metadata(artifact) == (("cat",), None)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"other.txt": b"cat\n"},
        {"labels.txt": b""},
        {"labels.txt": b"\xff\xfe\xfa"},
        {"labels.txt": b"cat\n" * (MAX_LABEL_BYTES // 4 + 1)},
        {"labels.txt": b"cat\n"} | {f"{i}.txt": b"" for i in range(MAX_MEMBERS)},
    ],
    ids=["no archive", "other file", "empty", "not UTF-8", "too large", "too many members"],
)
def test_labels_that_cannot_be_read_are_left_out(members):
    artifact = with_members(model(1, metadata([0.0], [1.0], LABEL_FILE)), members, zipfile.ZIP_DEFLATED)
    assert read_tflite_metadata(artifact) == (None, ((0.0,), (1.0,)))


@pytest.mark.parametrize("content", [b"", b"M001", metadata([0.0], [1.0], [], b"M002"), b"\xff" * 64])
def test_a_metadata_buffer_that_is_something_else_is_left_out(content):
    assert read_tflite_metadata(Artifact("m.tflite", TFLITE, model(1, content))) == (None, None)


def test_damaged_metadata_never_raises_anything_but_a_model_error():
    whole = described(GRAY)
    rng = np.random.default_rng(0)
    start = len(model())  # The model's own bytes have their tests elsewhere.
    for length in range(start, len(whole), 13):
        damage(whole[:length])
    for _ in range(400):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
        damage(data.tobytes())


def damage(data: bytes) -> None:
    with contextlib.suppress(ModelError):
        labels, normalization = read_tflite_metadata(Artifact("damaged.tflite", TFLITE, data))
        assert labels is None or all(isinstance(label, str) for label in labels)
        if normalization is not None:
            Preprocessing(4, 6, 1, *normalization)
