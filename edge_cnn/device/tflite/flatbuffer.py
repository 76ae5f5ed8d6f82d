"""The FlatBuffers wire format, as much as `.tflite` files need: tables, vectors and strings with their places.

Positions are absolute offsets into the file, so that scalars and vectors can be overwritten where they lie. Every
offset is checked against the file before it is followed, and vectors are views of the file, so a length that a damaged
file claims allocates nothing. Layout as in the FlatBuffers internals document: offsets are little-endian, a table
starts with a signed offset back to its vtable, a vtable holds its own size, the table's size and one 16-bit offset a
field.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError

Data = bytes | bytearray | memoryview
Span = tuple[int, int]
"""Absolute offsets (start, end) into the file."""

MAX_TABLES = 2**18
"""Longest vector of tables that is read; the largest networks have some 10,000 tensors."""

UNITS_PER_BYTE, MAX_UNITS = 32, 2**24
TABLE_UNITS = 64
"""What it may cost to read a file: a table of a vector counts 64 units, a byte of text or of indices one. An honest
table takes 12 bytes or more with the offset to it, so honest files stay far below 32 units a byte."""


def damaged(what: str) -> ModelError:
    """The error for bytes that no writer of `.tflite` files makes."""
    return ModelError(f"damaged .tflite: {what}; copy or export the file again")


@dataclass(slots=True)
class Budget:
    """What is left of the cost that reading a file may have.

    Offsets may all point at one place, so without it a file of n bytes could cost n * n, and more where vectors of
    tables hold vectors of tables.

    Attributes:
        units: see `UNITS_PER_BYTE`.
    """

    units: int

    @staticmethod
    def of(data: Data) -> Budget:
        """For a whole file."""
        return Budget(min(UNITS_PER_BYTE * len(data), MAX_UNITS))

    def spend(self, units: int) -> None:
        """Raises: ModelError: so much is not left."""
        self.units -= units
        if self.units < 0:
            raise damaged("its parts are used over and over, more often than the file has bytes for")


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of scalars, as it lies in the file.

    Attributes:
        data: the file.
        start: offset of the first element; its 32-bit length stands right before.
        count: number of elements, all within the file.
        dtype: little-endian element type.
    """

    data: Data
    start: int
    count: int
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return self.count

    @property
    def span(self) -> Span:
        """The elements, without the length."""
        return self.start, self.start + self.count * self.dtype.itemsize

    def array(self) -> NDArray[Any]:
        """The elements (count,), a view of the file."""
        return np.frombuffer(self.data, self.dtype, self.count, self.start) if self.count else np.empty(0, self.dtype)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, as it lies in the file; `read_table` makes one.

    Attributes:
        data: the file.
        position: offset of the table.
        vtable: offset of its vtable.
        vtable_bytes, table_bytes: sizes that the vtable states, both within the file.
        budget: shared by all tables of the file.
    """

    data: Data
    position: int
    vtable: int
    vtable_bytes: int
    table_bytes: int
    budget: Budget = dataclasses.field(compare=False, repr=False)

    def field(self, index: int, size: int) -> int | None:
        """Offset of the field's `size` inline bytes; None where the file leaves it at its default.

        Raises:
            ModelError: it goes beyond the table.
        """
        slot = 4 + 2 * index
        if slot + 2 > self.vtable_bytes:
            return None
        offset = _read(self.data, "<H", self.vtable + slot)
        if offset == 0:
            return None
        if offset < 4 or offset + size > self.table_bytes:
            raise damaged(f"field {index} of the table at byte {self.position} lies outside of it")
        return self.position + offset

    def scalar(self, index: int, format: str, default: int = 0) -> int:
        """The value of an integer field.

        Args:
            index: the field's position in the schema.
            format: as in `struct`, for example "<i".
            default: the schema's default.

        Raises:
            ModelError: it goes beyond the table.
        """
        position = self.field(index, struct.calcsize(format))
        return default if position is None else _read(self.data, format, position)

    def table(self, index: int) -> Table | None:
        """The table that a field points to. Raises: ModelError: it lies outside of the file."""
        target = self._target(index)
        return None if target is None else read_table(self.data, target, self.budget)

    def vector(self, index: int, dtype: str) -> Vector | None:
        """The vector of scalars of numpy type `dtype` ("<i4") that a field points to.

        Raises:
            ModelError: it goes beyond the end of the file.
        """
        target = self._target(index)
        return None if target is None else _read_vector(self.data, target, np.dtype(dtype))

    def tables(self, index: int) -> list[Table]:
        """The tables of a vector; empty where the field is absent.

        Raises:
            ModelError: one lies outside of the file, there are more than `MAX_TABLES`, or they exceed the budget.
        """
        offsets = self.vector(index, "<u4")
        if offsets is None:
            return []
        if offsets.count > MAX_TABLES:
            raise damaged(f"a vector of {offsets.count} tables at byte {offsets.start}, the limit is {MAX_TABLES}")
        self.budget.spend(TABLE_UNITS * offsets.count)
        starts = range(offsets.start, offsets.span[1], 4)
        return [
            read_table(self.data, start + offset, self.budget)
            for start, offset in zip(starts, offsets.array().tolist(), strict=True)
        ]

    def text(self, index: int) -> str:
        """The value of a string field, "" where it is absent; other bytes than UTF-8 are replaced.

        Raises:
            ModelError: it goes beyond the end of the file, or exceeds the budget.
        """
        vector = self.vector(index, "u1")
        if vector is None:
            return ""
        self.budget.spend(vector.count)
        return bytes(vector.array()).decode(errors="replace")

    def _target(self, index: int) -> int | None:
        position = self.field(index, 4)
        return None if position is None else position + _read(self.data, "<I", position)


def read_root(data: Data, identifier: bytes) -> Table:
    """The root table of a file with the 4-byte `identifier`.

    Raises:
        ModelError: another identifier, or the table lies outside of the file.
    """
    if bytes(data[4:8]) != identifier:
        raise damaged(f"the mark {identifier.decode()} is missing")
    return read_table(data, _read(data, "<I", 0))


def read_table(data: Data, position: int, budget: Budget | None = None) -> Table:
    """The table at `position`, with the budget of the file (by default a new one).

    Raises:
        ModelError: it or its vtable lies outside of the file.
    """
    vtable = position - _read(data, "<i", position)
    vtable_bytes, table_bytes = _read(data, "<H", vtable), _read(data, "<H", vtable + 2)
    if vtable_bytes < 4 or vtable + vtable_bytes > len(data) or table_bytes < 4 or position + table_bytes > len(data):
        raise damaged(f"the table at byte {position} goes beyond the end of the file")
    return Table(data, position, vtable, vtable_bytes, table_bytes, budget or Budget.of(data))


def _read_vector(data: Data, position: int, dtype: np.dtype[Any]) -> Vector:
    count = _read(data, "<I", position)
    if position + 4 + count * dtype.itemsize > len(data):
        raise damaged(f"the vector of {count} elements at byte {position} goes beyond the end of the file")
    return Vector(data, position + 4, count, dtype)


def _read(data: Data, format: str, position: int) -> int:
    if not 0 <= position <= len(data) - struct.calcsize(format):
        raise damaged(f"an offset points to byte {position} of {len(data)}")
    return struct.unpack_from(format, data, position)[0]
