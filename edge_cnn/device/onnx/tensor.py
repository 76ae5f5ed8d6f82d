"""A tensor stored in an `.onnx` file (TensorProto of onnx.proto3): its values, and the edit that changes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError
from edge_cnn.device.onnx.protobuf_wire import (
    DELIMITED,
    Field,
    Span,
    damaged,
    encode_delimited,
    encode_integer,
    encode_text,
    encode_varint,
    read_fields,
    read_integer,
    read_integers,
    read_message,
    read_text,
)

_DIMS, _DATA_TYPE, _FLOAT_DATA, _INT32_DATA, _INT64_DATA, _NAME, _RAW_DATA = 1, 2, 4, 5, 7, 8, 9
_DOUBLE_DATA, _UINT64_DATA = 10, 11

DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""TensorProto.DataType -> numpy name, as far as numpy has the type."""

DATA_TYPES = {name: number for number, name in DTYPES.items()}

_FIXED_WIDTH = {_RAW_DATA: "", _FLOAT_DATA: "<f4", _DOUBLE_DATA: "<f8"}
_VARINTS = {_INT32_DATA, _INT64_DATA, _UINT64_DATA}
_TYPED_FIELD = {"float32": _FLOAT_DATA, "float64": _DOUBLE_DATA, "int64": _INT64_DATA} | dict.fromkeys(
    ("uint32", "uint64"), _UINT64_DATA
)
"""Where each type's values stand when they are not raw; the others are in int32_data."""

_LONGEST_VARINT = 10
_MOST_DIMS, _MOST_VALUES = 32, 2**40


@dataclass(frozen=True)
class StoredTensor:
    """A constant of the graph; the values are read when asked for.

    Attributes:
        name: of the initializer, or of the output of the Constant node that holds it.
        dims: its shape.
        data_type: TensorProto.DataType.
        span: absolute byte range of the whole TensorProto field.
        fields: the fields that hold values.
        data: the file.
    """

    name: str
    dims: tuple[int, ...]
    data_type: int
    span: Span
    fields: tuple[Field, ...]
    data: bytes

    @property
    def dtype(self) -> str:
        """numpy name. Raises: ModelError: a type that numpy does not have."""
        try:
            return DTYPES[self.data_type]
        except KeyError:
            raise ModelError(
                f"tensor {self.name!r} has ONNX data type {self.data_type}, which edge_cnn does not read; "
                "export the model with float or 8, 16 or 32-bit integer tensors"
            ) from None

    @property
    def raw_span(self) -> Span | None:
        """Absolute byte range of the values, where they are stored as raw bytes."""
        raw = [f for f in self.fields if f.number == _RAW_DATA]
        return raw[0].value if len(raw) == 1 else None

    def values(self) -> NDArray[Any]:
        """The values, in the tensor's shape and dtype.

        Raises:
            ModelError: more or fewer values than the shape says, or a type that numpy does not have.
        """
        dtype = np.dtype(self.dtype).newbyteorder("<")
        count = math.prod(self.dims)
        used = {f.number for f in self.fields}
        if len(used) > 1 or not used <= {_RAW_DATA, _TYPED_FIELD.get(self.dtype, _INT32_DATA)}:
            raise damaged(f"tensor {self.name!r} has its values in fields {sorted(used)}")
        flat = np.concatenate([np.zeros(0, dtype), *[self._read(field, dtype) for field in self.fields]])
        if len(flat) != count:
            raise damaged(f"tensor {self.name!r} of shape {list(self.dims)} has {len(flat)} values")
        return flat.reshape(self.dims).astype(self.dtype)

    def _read(self, field: Field, dtype: np.dtype[Any]) -> NDArray[Any]:
        if field.number not in _VARINTS:
            stored = np.dtype(_FIXED_WIDTH[field.number] or dtype)
            payload = self.data[slice(*field.value)]
            if len(payload) % stored.itemsize:
                raise damaged(f"tensor {self.name!r} ends within a value")
            return np.frombuffer(payload, stored).astype(dtype)
        # float16 stands in int32_data as its bit pattern. Truncation, as protobuf readers do, cannot overflow.
        bits = np.array(read_integers(self.data, field), np.int64)
        return bits.astype(f"<u{dtype.itemsize}").view(dtype)

    def edits(self, values: NDArray[Any]) -> dict[Span, bytes]:
        """What `protobuf_wire.rewrite` needs to store `values` here.

        The size stays wherever the format allows: in raw and floating-point data always; in varint data by padding the
        numbers, or by storing them as raw bytes if that takes as much room.

        Args:
            values: of the tensor's shape and dtype.
        """
        assert values.shape == self.dims
        assert values.dtype == self.dtype
        if not self.fields:
            return {}
        raw = _little_endian(values).tobytes()
        first, *others = self.fields
        if first.number in _VARINTS:
            new = _varint_field(first, _bit_patterns(values), raw, padded=not others)
        else:
            new = encode_delimited(first.number, raw, _length_width(first))
        return {first.span: new} | {field.span: b"" for field in others}


def read_tensor(data: bytes, span: Span, name: str | None = None) -> StoredTensor:
    """The TensorProto at `span`; `name` overrides its own.

    Raises:
        ModelError: damaged, or its values are in another file.
    """
    own_name, data_type = "", 0
    dims: list[int] = []
    fields: list[Field] = []
    external = False
    for field in read_fields(data, span):
        match field.number:
            case 1:
                dims += read_integers(data, field)
            case 2:
                data_type = read_integer(field)
            case 8:
                own_name = read_text(data, field)
            case 13:
                external = True
            case 14:
                external = external or read_integer(field) != 0
            case number if number in _VARINTS:
                fields.append(field)
            case number if number in _FIXED_WIDTH:
                # Unpacked numbers have another wire type; no writer since proto3 makes them.
                read_message(field)
                fields.append(field)
            case _:
                pass
    name = own_name if name is None else name
    if external:
        raise ModelError(
            f"tensor {name!r} has its values in another file; save the model with all data in the one .onnx file"
        )
    # Zeros apart, so that numpy can make even an empty array of that shape.
    if len(dims) > _MOST_DIMS or any(d < 0 for d in dims) or math.prod(max(d, 1) for d in dims) > _MOST_VALUES:
        raise damaged(f"tensor {name!r} has shape {dims[:_MOST_DIMS]}")
    if sum(f.number == _RAW_DATA for f in fields) > 1:
        raise damaged(f"tensor {name!r} has its values twice")
    return StoredTensor(name, tuple(dims), data_type, span, tuple(fields), data)


def encode_tensor(name: str, values: NDArray[Any]) -> bytes:
    """A new TensorProto with raw data."""
    return b"".join(
        (
            *(encode_integer(_DIMS, d) for d in values.shape),
            encode_integer(_DATA_TYPE, DATA_TYPES[values.dtype.name]),
            encode_text(_NAME, name),
            encode_delimited(_RAW_DATA, _little_endian(values).tobytes()),
        )
    )


def _varint_field(field: Field, numbers: Sequence[int], raw: bytes, *, padded: bool) -> bytes:
    """The packed field that replaces `field`, as long as that one where it can be if `padded`."""
    encoded = [encode_varint(n) for n in numbers]
    if padded and field.wire_type == DELIMITED:
        spare = field.value[1] - field.value[0] - sum(map(len, encoded))
        if spare >= 0:
            for i, number in enumerate(numbers):
                width = min(_LONGEST_VARINT, len(encoded[i]) + spare)
                spare -= width - len(encoded[i])
                encoded[i] = encode_varint(number, width)
            return encode_delimited(field.number, b"".join(encoded), _length_width(field))
        # A zero point that grew beyond 127 needs two bytes as a varint, and still one as raw data.
        if len(raw) == field.value[1] - field.value[0]:
            return encode_delimited(_RAW_DATA, raw, _length_width(field))
    return encode_delimited(field.number, b"".join(encoded))


def _length_width(field: Field) -> int:
    """Bytes that the field's length takes; all tags of TensorProto's values take one."""
    return field.value[0] - field.span[0] - 1


def _little_endian(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(values.dtype.newbyteorder("<"))


def _bit_patterns(values: NDArray[Any]) -> list[int]:
    """What int32_data, int64_data and uint64_data hold: integers as they are, float16 as its bits."""
    flat = values.reshape(-1)
    return [int(v) for v in (flat.view(np.uint16) if flat.dtype == np.float16 else flat)]
