"""Tensors of a `.tflite` file and their quantization, with the places to overwrite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.tflite.flatbuffer import Table, Vector, damaged
from edge_cnn.device.tflite.schema import TENSOR_TYPES

MAX_RANK = 64
"""Runtimes stop at 8 dimensions or fewer."""


@dataclass(frozen=True)
class StoredQuantization:
    """QuantizationParameters as they lie in the file; None for what is absent or empty.

    Attributes:
        minimum, maximum: float32 range of the real values, a remark of the converter.
        scales: float32, one for the tensor or one a slice along `axis`.
        zero_points: int64.
        axis: quantized dimension.
        has_details: it is custom or blockwise, so that scales alone do not tell the values.
    """

    minimum: Vector | None
    maximum: Vector | None
    scales: Vector | None
    zero_points: Vector | None
    axis: int
    has_details: bool

    def vectors(self) -> Iterator[Vector]:
        """All that are present."""
        yield from (v for v in (self.minimum, self.maximum, self.scales, self.zero_points) if v is not None)

    def params(self) -> QuantizationParams | None:
        """Scales and zero points, absent zero points being 0; None where there are no scales.

        Raises:
            ModelError: scales and zero points do not go together.
        """
        if self.scales is None:
            return None
        count = len(self.scales)
        stored = self.zero_points.array() if self.zero_points is not None else np.zeros(1, np.int64)
        if len(stored) not in (1, count):
            raise damaged(f"{count} scales with {len(stored)} zero points at byte {self.scales.start}")
        scales = tuple(self.scales.array().tolist())
        zero_points = tuple(np.broadcast_to(stored, count).tolist())
        return QuantizationParams(scales, zero_points, self.axis if count > 1 else None)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph.

    Attributes:
        index: place in the subgraph.
        name: as it stands in the file.
        shape: as the converter fixed it, with 1 for a dynamic dimension.
        shape_signature: the same with -1 for a dynamic dimension; () where the file has none.
        dtype: one of `TENSOR_TYPES`.
        buffer: index of its values' buffer.
        quantization: None where the file says nothing.
        is_plain: dense, in this file, and not an instance of a variable.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    buffer: int
    quantization: StoredQuantization | None
    is_plain: bool

    @property
    def params(self) -> QuantizationParams | None:
        """Scales and zero points, None for real values. Raises: ModelError: as `StoredQuantization.params`."""
        return self.quantization.params() if self.quantization else None

    @property
    def spec(self) -> TensorSpec:
        """What a user of the graph sees, -1 for dynamic dimensions. Raises: ModelError: as `params`."""
        shape = self.shape_signature if len(self.shape_signature) == len(self.shape) else self.shape
        return TensorSpec(self.name, shape, self.dtype, self.params)


def read_tensor(table: Table, index: int) -> Tensor:
    """The Tensor table. Raises: ModelError: damaged."""
    code = table.scalar(1, "<b")
    if not 0 <= code < len(TENSOR_TYPES):
        raise damaged(f"tensor {index} has element type {code}, known are 0..{len(TENSOR_TYPES) - 1}")
    quantization = table.table(4)
    # Sparsity, a variable, variant parts, a buffer in another file.
    is_plain = table.field(6, 4) is None and not table.scalar(5, "<B") and table.field(9, 4) is None
    is_plain = is_plain and not table.scalar(10, "<I")
    return Tensor(
        index,
        table.text(3),
        _shape(table, 0),
        _shape(table, 7),
        TENSOR_TYPES[code],
        table.scalar(2, "<I"),
        None if quantization is None else _read_quantization(quantization),
        is_plain,
    )


def _shape(table: Table, field: int) -> tuple[int, ...]:
    vector = table.vector(field, "<i4")
    if vector is None:
        return ()
    if vector.count > MAX_RANK:
        raise damaged(f"a shape of {vector.count} dimensions at byte {vector.start}")
    return tuple(vector.array().tolist())


def _read_quantization(table: Table) -> StoredQuantization:
    dtypes = ("<f4", "<f4", "<f4", "<i8")
    minimum, maximum, scales, zero_points = (
        vector if vector is not None and len(vector) else None
        for vector in (table.vector(i, dtype) for i, dtype in enumerate(dtypes))
    )
    return StoredQuantization(
        minimum, maximum, scales, zero_points, table.scalar(6, "<i"), has_details=table.scalar(4, "<B") != 0
    )
