from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from converters.metadata.tflite_metadata import add_tflite_metadata
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.runtimes.table import open_runtime

schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

LABELS = ("zero", "two\nlines", "drei")
PREPROCESSING = Preprocessing(4, 4, 3, (1.0, 2.0, 3.0), (10.0, 20.0, 40.0))


def tiny_model() -> bytes:
    """A RELU of a float (1, 4, 4, 3) image, written with the schema alone; one odd-sized buffer to upset alignment."""
    import flatbuffers

    model = schema.ModelT()
    model.version = 3
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    code.version = 1
    model.operatorCodes = [code]
    tensors = []
    for name in (b"image", b"scores"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1, 4, 4, 3], schema.TensorType.FLOAT32, 0
        tensors.append(tensor)
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [1]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [op], [0], [1]
    model.subgraphs = [graph]
    odd = schema.BufferT()
    odd.data = np.arange(5, dtype=np.uint8)
    model.buffers = [schema.BufferT(), odd]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="module")
def described() -> bytes:
    return add_tflite_metadata(
        tiny_model(), name="tiny", labels=LABELS, preprocessing=PREPROCESSING, producer="edge_cnn test"
    )


class Table:
    """A flatbuffer table read by hand, field by field, as the flatbuffers format document lays it out."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    @staticmethod
    def root(data: bytes) -> Table:
        return Table(data, struct.unpack_from("<I", data)[0])

    def _field(self, position: int) -> int:
        vtable = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        size = struct.unpack_from("<H", self.data, vtable)[0]
        entry = 4 + 2 * position
        offset = struct.unpack_from("<H", self.data, vtable + entry)[0] if entry < size else 0
        assert offset, f"field {position} is missing"
        return self.at + offset

    def _follow(self, at: int) -> int:
        return at + struct.unpack_from("<I", self.data, at)[0]

    def byte(self, position: int) -> int:
        return self.data[self._field(position)]

    def table(self, position: int) -> Table:
        return Table(self.data, self._follow(self._field(position)))

    def text(self, position: int) -> str:
        at = self._follow(self._field(position))
        return self.data[at + 4 : at + 4 + struct.unpack_from("<I", self.data, at)[0]].decode()

    def tables(self, position: int) -> list[Table]:
        at = self._follow(self._field(position))
        count = struct.unpack_from("<I", self.data, at)[0]
        return [Table(self.data, self._follow(at + 4 + 4 * i)) for i in range(count)]

    def floats(self, position: int) -> list[float]:
        at = self._follow(self._field(position))
        return list(struct.unpack_from(f"<{struct.unpack_from('<I', self.data, at)[0]}f", self.data, at + 4))


def metadata_buffer(model: bytes) -> bytes:
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    (entry,) = [m for m in tree.metadata if m.name == b"TFLITE_METADATA"]
    return bytes(tree.buffers[entry.buffer].data)


def test_metadata_says_what_the_public_schema_says(described: bytes) -> None:
    data = metadata_buffer(described)
    assert data[4:8] == b"M001"
    root = Table.root(data)
    assert (root.text(0), root.text(1), root.text(7)) == ("tiny", "edge_cnn test", "1.0.0")
    (subgraph,) = root.tables(3)
    (image,), (scores,) = subgraph.tables(2), subgraph.tables(3)
    content = image.table(3)
    assert content.byte(0) == 2  # ImageProperties
    assert content.table(1).byte(0) == 1  # RGB
    (unit,) = image.tables(4)
    assert unit.byte(0) == 1  # NormalizationOptions
    assert unit.table(1).floats(0) == [1.0, 2.0, 3.0]
    assert unit.table(1).floats(1) == [10.0, 20.0, 40.0]
    assert image.table(5).floats(0) == pytest.approx([25.4, 12.65, 6.3])  # (255 - mean) / std
    (labels,) = scores.tables(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_labels_are_an_appended_zip_with_one_line_a_class(described: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(described)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().splitlines() == ["zero", "two lines", "drei"]


def test_the_file_still_runs_and_computes_the_same(described: bytes) -> None:
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 3)).astype(np.float32)
    (output,) = open_runtime(Artifact("tiny.tflite", "tflite", described)).run([image])
    assert np.array_equal(output, np.maximum(image, 0))


def test_every_buffer_lies_at_a_multiple_of_16(described: bytes) -> None:
    model = schema.Model.GetRootAs(described, 0)
    found = 0
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength():
            found += 1
            tab = buffer._tab
            assert tab.Vector(tab.Offset(4)) % 16 == 0
    assert found >= 2


def test_the_same_input_gives_the_same_bytes(described: bytes) -> None:
    again = add_tflite_metadata(
        tiny_model(), name="tiny", labels=LABELS, preprocessing=PREPROCESSING, producer="edge_cnn test"
    )
    assert again == described


def test_the_device_reads_it_back(described: bytes) -> None:
    from edge_cnn.device.tflite.metadata import read_tflite_metadata

    labels, normalization = read_tflite_metadata(Artifact("tiny.tflite", "tflite", described))
    assert labels == ("zero", "two lines", "drei")
    assert normalization == (PREPROCESSING.mean, PREPROCESSING.std)


def test_the_signature_names_both_ends(described):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=described).get_signature_runner("serving_default")
    image = np.arange(-24, 24, dtype=np.float32).reshape(1, 4, 4, 3)
    np.testing.assert_array_equal(run(input=image)["scores"], np.maximum(image, 0))
