"""From pixels to model inputs, the same bits on host and device.

A uint8 pixel has 256 values, so the whole of normalization and input quantization is a table of 256 entries a
channel. Host and device both build it with `normalization_table`, hence no rounding can tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.core.quantization import quantize
from edge_cnn.core.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Preprocessing:
    """How a uint8 image becomes a model input: resize, convert to gray or RGB, then (pixel - mean) / std.

    Attributes:
        height, width: of the model's input, in pixels.
        channels: 1 (gray) or 3 (RGB).
        mean, std: one value, or one a channel, in units of the pixel range 0..255.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels) or not np.all(np.isfinite(values)):
                raise DataError(
                    f"preprocessing: {name} needs 1 or {self.channels} finite values, got {list(values)}; "
                    "correct the manifest or the metadata"
                )
        if min(self.std) <= 0:
            raise DataError(f"preprocessing: std must be positive, got {list(self.std)}; correct the manifest")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels)

    def describe(self) -> str:
        """One line for a person, for example 28x28 gray, pixels 0..255 -> 0..1."""
        low = (0 - np.array(self.mean)) / np.array(self.std)
        high = (255 - np.array(self.mean)) / np.array(self.std)
        kind = "gray" if self.channels == 1 else "RGB"
        ends = " ".join(f"{a:.4g}..{b:.4g}" for a, b in zip(low, high, strict=True))
        return f"{self.height}x{self.width} {kind}, pixels 0..255 -> {ends}"

    def to_json(self) -> dict[str, Any]:
        return {
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Preprocessing:
        return Preprocessing(
            int(value["height"]),
            int(value["width"]),
            int(value["channels"]),
            tuple(float(m) for m in value["mean"]),
            tuple(float(s) for s in value["std"]),
        )


def input_range(low: float, high: float, image_shape: tuple[int, int, int]) -> Preprocessing:
    """The preprocessing that maps pixel 0 to `low` and pixel 255 to `high`.

    Raises:
        DataError: `high` is not above `low`.
    """
    if not high > low:
        raise DataError(f"input range {low},{high}: the second value must be the larger one")
    std = 255.0 / (high - low)
    return Preprocessing(*image_shape, mean=(-low * std + 0.0,), std=(std,))


def normalization_table(preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Model input for each pixel value: float32 (256, 1) or (256, channels)."""
    pixels = np.arange(256, dtype=np.float64)[:, None]
    return ((pixels - np.array(preprocessing.mean)) / np.array(preprocessing.std)).astype(np.float32)


def code_table(preprocessing: Preprocessing, spec: TensorSpec) -> NDArray[Any]:
    """What `spec`'s tensor holds for each pixel value: codes or floats, (256, 1) or (256, channels)."""
    table = normalization_table(preprocessing)
    if spec.quantization is not None:
        return quantize(table, spec.quantization, spec.numpy_dtype)
    return table.astype(spec.numpy_dtype)


def apply_table(pixels: NDArray[np.uint8], table: NDArray[Any]) -> NDArray[Any]:
    """Look each pixel up: uint8 (..., channels) -> the table's dtype, same shape."""
    if table.shape[1] == 1:
        return table[:, 0][pixels]
    return np.stack([table[:, c][pixels[..., c]] for c in range(table.shape[1])], axis=-1)


def normalize(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """uint8 (n, height, width, channels) -> float32 model inputs of the same shape."""
    return apply_table(pixels, normalization_table(preprocessing))
