"""From images as people have them to the one array that a graph takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_cnn.core.errors import DataError, ModelError
from edge_cnn.core.preprocessing import Preprocessing, apply_table, code_table
from edge_cnn.core.quantization import quantize
from edge_cnn.core.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNEL_COUNTS = (1, 3)


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Tell (n, channels, height, width) from (n, height, width, channels)."""
    return len(shape) == 4 and shape[1] in CHANNEL_COUNTS and shape[3] not in CHANNEL_COUNTS


def image_shape(spec: TensorSpec) -> tuple[int, int, int]:
    """(height, width, channels) that the graph's input stands for.

    Raises:
        ModelError: the input is not an image of known size with 1 or 3 channels.
    """
    shape = spec.shape
    if len(shape) == 4:
        height, width, channels = (shape[2], shape[3], shape[1]) if is_channels_first(shape) else shape[1:]
        if channels in CHANNEL_COUNTS and height > 0 and width > 0:
            return height, width, channels
    raise ModelError(
        f"input {spec.name!r} has shape {shape}, which is no image of known size with 1 or 3 channels; "
        "give model inputs as a float .npz"
    )


class InputEncoder:
    """Turns images into what the graph's input tensor holds, with tables made once.

    Args:
        preprocessing: None where the model takes no images; then only float inputs are taken.
        spec: of the graph's only input.
    """

    def __init__(self, preprocessing: Preprocessing | None, spec: TensorSpec) -> None:
        self.spec = spec
        self._channels_first = is_channels_first(spec.shape)
        self._image_shape = preprocessing.image_shape if preprocessing else None
        self._table = code_table(preprocessing, spec) if preprocessing else None
        self._flips_sign_bit = bool(
            self._table is not None
            and self._table.dtype == np.int8
            and np.array_equal(self._table[:, :1], np.arange(-128, 128, dtype=np.int8)[:, None])
            and self._table.shape[1] == 1
        )
        self._is_identity = bool(
            self._table is not None
            and self._table.dtype == np.uint8
            and self._table.shape[1] == 1
            and np.array_equal(self._table[:, 0], np.arange(256, dtype=np.uint8))
        )

    def encode(self, images: NDArray[Any]) -> NDArray[Any]:
        """uint8 pixels (n, height, width, channels), or float model inputs -> (n, ...) as the tensor wants it.

        Raises:
            DataError: another shape or dtype, or values that are not finite.
        """
        if images.dtype != np.uint8:
            return self._encode_floats(images)
        if self._table is None:
            raise DataError(f"the model takes no images but inputs of shape {self.spec.shape[1:]}; give them as floats")
        if images.shape[1:] != self._image_shape:
            raise DataError(
                f"the model takes uint8 images of shape {self._image_shape}, got {images.shape[1:]}; "
                "resize them or check the channels"
            )
        if self._flips_sign_bit:
            # pixel - 128 in one pass without widening: the most common case, and the hot path of batch 1.
            codes = np.bitwise_xor(images, np.uint8(0x80)).view(np.int8)
        elif self._is_identity:
            codes = images
        else:
            codes = apply_table(images, self._table)
        return np.ascontiguousarray(codes.transpose(0, 3, 1, 2)) if self._channels_first else codes

    def _encode_floats(self, inputs: NDArray[Any]) -> NDArray[Any]:
        if not np.issubdtype(inputs.dtype, np.floating):
            raise DataError(f"images must be uint8 pixels or float model inputs, got {inputs.dtype}; convert them")
        if not np.isfinite(inputs).all():
            raise DataError("the input holds NaN or infinity; clean the data")
        if self._channels_first and self._image_shape and inputs.shape[1:] == self._image_shape:
            inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        wanted = self.spec.shape[1:]
        if len(inputs.shape[1:]) != len(wanted) or any(
            w not in (-1, g) for w, g in zip(wanted, inputs.shape[1:], strict=True)
        ):
            raise DataError(f"the model takes inputs of shape {wanted}, got {inputs.shape[1:]}; reshape them")
        if self.spec.quantization is not None:
            return quantize(inputs.astype(np.float32), self.spec.quantization, self.spec.numpy_dtype)
        return inputs.astype(self.spec.numpy_dtype)


def to_model_input(images: NDArray[Any], preprocessing: Preprocessing | None, spec: TensorSpec) -> NDArray[Any]:
    """`InputEncoder.encode` for one use. Raises: DataError: as there."""
    return InputEncoder(preprocessing, spec).encode(images)
