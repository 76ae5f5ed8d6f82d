"""What a tensor at the edge of a graph looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_cnn.core.quantization import QuantizationParams


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape, element type and quantization of a tensor.

    Attributes:
        name: as it stands in the file.
        shape: -1 where a dimension is dynamic.
        dtype: a numpy name such as "int8" or "float32".
        quantization: None for a tensor of real values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: QuantizationParams | None = None

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "quantization": self.quantization.to_json() if self.quantization else None,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> TensorSpec:
        quantization = value.get("quantization")
        return TensorSpec(
            str(value["name"]),
            tuple(int(d) for d in value["shape"]),
            str(value["dtype"]),
            QuantizationParams.from_json(quantization) if quantization else None,
        )
