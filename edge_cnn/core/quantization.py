"""Affine quantization, real = scale * (code - zero_point) (Jacob et al. 2018, eq. 1; ONNX QuantizeLinear)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class QuantizationParams:
    """Scale and zero point of a tensor.

    Attributes:
        scales: one float32 value for the tensor, or one per slice along `axis`.
        zero_points: as many integers as scales.
        axis: the quantized dimension of per-channel parameters, None for per-tensor ones.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    @property
    def scale(self) -> float:
        """The only scale of a per-tensor quantization."""
        (scale,) = self.scales
        return scale

    @property
    def zero_point(self) -> int:
        """The only zero point of a per-tensor quantization."""
        (zero_point,) = self.zero_points
        return zero_point

    def to_json(self) -> dict[str, Any]:
        return {"scales": list(self.scales), "zero_points": list(self.zero_points), "axis": self.axis}

    @staticmethod
    def from_json(value: dict[str, Any]) -> QuantizationParams:
        axis = value.get("axis")
        return QuantizationParams(
            tuple(float(s) for s in value["scales"]),
            tuple(int(z) for z in value["zero_points"]),
            None if axis is None else int(axis),
        )


def quantize(values: NDArray[np.floating], params: QuantizationParams, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Real values -> codes, rounded half to even as ONNX QuantizeLinear does, saturated to the range of `dtype`.

    Args:
        values: float, any shape.
        params: per-tensor or per-channel parameters.
        dtype: an integer type, for example int8.
    """
    limits = np.iinfo(dtype)
    scales, zero_points = _broadcast(params, values.ndim)
    codes = np.rint(values / scales) + zero_points
    return np.clip(codes, limits.min, limits.max).astype(dtype)


def dequantize(codes: NDArray[Any], params: QuantizationParams) -> NDArray[np.float32]:
    """Codes -> float32 real values of the same shape."""
    scales, zero_points = _broadcast(params, codes.ndim)
    # Widen first: int8 minus a zero point overflows.
    return (codes.astype(np.int32) - zero_points).astype(np.float32) * scales


def _broadcast(params: QuantizationParams, ndim: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    scales = np.asarray(params.scales, np.float32)
    zero_points = np.asarray(params.zero_points, np.int32)
    if params.axis is None:
        return scales[0], zero_points[0]  # pyright: ignore[reportReturnType]  # numpy scalars broadcast alike
    shape = [1] * ndim
    shape[params.axis] = -1
    return scales.reshape(shape), zero_points.reshape(shape)
