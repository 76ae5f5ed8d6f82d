from __future__ import annotations

import contextlib
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.errors import ModelError
from edge_cnn.device.tflite.flatbuffer import MAX_TABLES, Table, read_root, read_table

flatbuffers: Any = pytest.importorskip("flatbuffers")

IDENTIFIER = b"TEST"


@pytest.fixture(scope="module")
def written() -> bytes:
    """A table written by the FlatBuffers package: int8 -3, uint32 7, (absent), "grün", int32 vector, two tables."""
    builder = flatbuffers.Builder(64)
    text = builder.CreateString("grün")
    numbers = builder.CreateNumpyVector(np.array([5, -6, 7], np.int32))
    children = []
    for value in (11, 22):
        builder.StartObject(1)
        builder.PrependInt64Slot(0, value, 0)
        children.append(builder.EndObject())
    builder.StartVector(4, 2, 4)
    for child in reversed(children):
        builder.PrependUOffsetTRelative(child)
    tables = builder.EndVector()
    builder.StartObject(7)
    builder.PrependInt8Slot(0, -3, 0)
    builder.PrependUint32Slot(1, 7, 0)
    builder.PrependUOffsetTRelativeSlot(3, text, 0)
    builder.PrependUOffsetTRelativeSlot(4, numbers, 0)
    builder.PrependUOffsetTRelativeSlot(5, tables, 0)
    builder.PrependUOffsetTRelativeSlot(6, children[1], 0)
    builder.Finish(builder.EndObject(), IDENTIFIER)
    return bytes(builder.Output())


def everything(root: Table) -> tuple[Any, ...]:
    """All that the schema of `written` knows."""
    numbers, child = root.vector(4, "<i4"), root.table(6)
    return (
        root.scalar(0, "<b"),
        root.scalar(1, "<I"),
        root.text(3),
        numbers.array().tolist() if numbers else None,
        [table.scalar(0, "<q") for table in root.tables(5)],
        child.scalar(0, "<q") if child else None,
    )


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_fields_are_those_that_the_flatbuffers_package_wrote(written, kind):
    root = read_root(kind(written), IDENTIFIER)
    assert everything(root) == (-3, 7, "grün", [5, -6, 7], [11, 22], 22)


def test_absent_fields_have_their_defaults(written):
    root = read_root(written, IDENTIFIER)
    for index in (2, 99):
        assert root.field(index, 4) is None
        assert root.scalar(index, "<i", 42) == 42
        assert root.vector(index, "<i4") is None
        assert root.table(index) is None
        assert root.tables(index) == []
        assert root.text(index) == ""


def test_what_is_written_at_a_place_is_read_by_the_flatbuffers_package(written):
    data = bytearray(written)
    root = read_root(data, IDENTIFIER)
    position, numbers = root.field(1, 4), root.vector(4, "<i4")
    assert position is not None
    assert numbers is not None
    struct.pack_into("<I", data, position, 123)
    data[slice(*numbers.span)] = np.array([1, 2, 3], "<i4").tobytes()
    theirs = flatbuffers.table.Table(data, struct.unpack_from("<I", data)[0])
    assert theirs.Get(flatbuffers.number_types.Uint32Flags, theirs.Pos + theirs.Offset(4 + 2 * 1)) == 123
    theirs_numbers = theirs.GetVectorAsNumpy(flatbuffers.number_types.Int32Flags, theirs.Offset(4 + 2 * 4))
    np.testing.assert_array_equal(theirs_numbers, [1, 2, 3])


def test_a_vector_is_a_view_of_the_file(written):
    data = bytearray(written)
    numbers = read_root(data, IDENTIFIER).vector(4, "<i4")
    assert numbers is not None
    data[numbers.start] = 9
    assert numbers.array()[0] == 9


def test_another_identifier_is_refused(written):
    with pytest.raises(ModelError, match=r"damaged \.tflite: the mark OTHR is missing"):
        read_root(written, b"OTHR")


def test_every_truncation_is_an_error_or_reads_the_same(written):
    whole = everything(read_root(written, IDENTIFIER))
    survivors = 0
    for length in range(len(written)):
        with contextlib.suppress(ModelError):
            assert everything(read_root(written[:length], IDENTIFIER)) == whole
            survivors += 1
    assert survivors < len(written) / 2


def test_every_changed_byte_gives_values_or_an_error(written):
    for position in range(len(written)):
        for value in (0x00, 0x7F, 0x80, 0xFF):
            data = bytearray(written)
            data[position] = value
            with contextlib.suppress(ModelError):
                everything(read_root(data, IDENTIFIER))


@pytest.mark.parametrize("length", [2**20, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("field", [3, 4, 5])
def test_an_absurd_length_is_an_error_and_allocates_nothing(written, length, field):
    data = bytearray(written)
    vector = read_root(data, IDENTIFIER).vector(field, "u1")
    assert vector is not None
    struct.pack_into("<I", data, vector.start - 4, length)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=rf"the vector of {length} elements .* goes beyond the end"):
            everything(read_root(data, IDENTIFIER))
        assert tracemalloc.get_traced_memory()[1] < 2**17
    finally:
        tracemalloc.stop()


def test_more_tables_than_any_model_has_are_refused_before_they_are_read():
    count = MAX_TABLES + 1
    # vtable of one field; the table with its offset 4 to a vector of zeros, each an offset to itself.
    data = struct.pack("<HHH2x", 6, 8, 4) + struct.pack("<iII", 8, 4, count) + bytes(4 * count)
    with pytest.raises(ModelError, match=f"a vector of {count} tables"):
        read_table(data, 8).tables(0)


@pytest.mark.parametrize("position", [-1, -(2**31), 2**31, 10**18])
def test_offsets_outside_of_the_file_are_errors(written, position):
    with pytest.raises(ModelError, match="an offset points to byte"):
        read_table(written, position)


def test_tables_that_are_used_over_and_over_exceed_the_budget_of_the_file():
    count = 500
    # A table at byte 8 with a vector of tables, each of which is the table itself.
    entries = b"".join(struct.pack("<I", (8 - (20 + 4 * i)) % 2**32) for i in range(count))
    data = struct.pack("<HHH2x", 6, 8, 4) + struct.pack("<iII", 8, 4, count) + entries
    with pytest.raises(ModelError, match="an offset points"):
        read_table(data, 8).tables(0)  # offsets are unsigned, so a table cannot hold itself
    # So the table comes last: `count` offsets to one table.
    entries = b"".join(struct.pack("<I", 4 * (count - i)) for i in range(count))
    shared = (
        struct.pack("<HHH2x", 6, 8, 4)
        + struct.pack("<iII", 8, 4, count)
        + entries
        + struct.pack("<iI", 20 + 4 * count, 0)
    )
    root = read_table(shared, 8)
    assert len(root.tables(0)) == count
    with pytest.raises(ModelError, match="used over and over"):
        list(map(root.tables, [0] * 10))


def test_a_text_that_is_read_over_and_over_exceeds_the_budget_of_the_file(written):
    root = read_root(written, IDENTIFIER)
    with pytest.raises(ModelError, match="used over and over"):
        list(map(root.text, [3] * (32 * len(written))))
