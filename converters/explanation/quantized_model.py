"""A quantized model as values: the codes and scales of its layers, and what its operators give on samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ActivationCodes:
    """How a tensor of activations is coded: value = scale * (code - zero_point), code in [first, last].

    Attributes:
        scale: of the whole tensor.
        zero_point: the code of 0.
        first, last: the smallest and the largest code of its type.
    """

    scale: float
    zero_point: int
    first: int
    last: int

    @property
    def low(self) -> float:
        """The smallest value that has a code."""
        return self.scale * (self.first - self.zero_point)

    @property
    def high(self) -> float:
        """The largest value that has a code."""
        return self.scale * (self.last - self.zero_point)

    @property
    def count(self) -> int:
        """How many codes there are: 256 of int8."""
        return self.last - self.first + 1

    def rounded(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """`values` as they are after coding and decoding."""
        codes = np.clip(np.rint(values / np.float32(self.scale)) + self.zero_point, self.first, self.last)
        return ((codes - self.zero_point) * np.float32(self.scale)).astype(np.float32)


@dataclass(frozen=True)
class WeightCodes:
    """The weights of a layer.

    Attributes:
        codes: integers in the shape that TFLite gives the operator's weights, output channels along `axis`.
        scales: float64 (channels,), or (1,) where the whole tensor has one.
        zero_points: int64, shaped as `scales`.
        axis: of the output channels.
        bits: 8 or 4, of the type that stores them.
    """

    codes: NDArray[Any]
    scales: NDArray[np.float64]
    zero_points: NDArray[np.int64]
    axis: int
    bits: int

    @property
    def is_per_channel(self) -> bool:
        return len(self.scales) > 1

    def steps(self) -> NDArray[np.float64]:
        """The scale of each weight, in a shape that broadcasts against `codes`."""
        return self.scales.reshape(self._shape())

    def values(self) -> NDArray[np.float32]:
        """What the codes stand for, float32 of the same shape."""
        # Widen first: int8 minus a zero point overflows.
        centred = self.codes.astype(np.int64) - self.zero_points.reshape(self._shape())
        return (centred * self.steps()).astype(np.float32)

    def _shape(self) -> list[int]:
        shape = [1] * self.codes.ndim
        if self.is_per_channel:
            shape[self.axis] = len(self.scales)
        return shape


@dataclass(frozen=True)
class BiasCodes:
    """The bias of a layer.

    Attributes:
        values: float64 (channels,), what it stands for.
        codes: int64 (channels,), None where the file keeps it in float.
        scales: float64 (channels,) or (1,), None where the file keeps it in float.
        limit: the largest code of its type.
    """

    values: NDArray[np.float64]
    codes: NDArray[np.int64] | None = None
    scales: NDArray[np.float64] | None = None
    limit: int = 2**31 - 1


@dataclass(frozen=True)
class QuantizedOperator:
    """An operator of the quantized file, weights in TFLite's layouts.

    Attributes:
        name: of the tensor that it writes.
        op: as TFLite's schema names it.
        shape: of its output without the batch, channels last.
        input: how its input is coded, None where that is float.
        output: how its output is coded, None where that is float.
        weights: None where it has none, or they are float.
        float_weights: float32, where the operator has weights that are not codes.
        bias: None where it has none.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    input: ActivationCodes | None = None
    output: ActivationCodes | None = None
    weights: WeightCodes | None = None
    float_weights: NDArray[np.float32] | None = None
    bias: BiasCodes | None = None

    @property
    def weight_shape(self) -> tuple[int, ...] | None:
        """None where it has no weights."""
        if self.weights is not None:
            return tuple(self.weights.codes.shape)
        return None if self.float_weights is None else tuple(self.float_weights.shape)

    @property
    def weight_values(self) -> NDArray[np.float32] | None:
        """What its weights stand for."""
        return self.weights.values() if self.weights is not None else self.float_weights


class QuantizedModel(Protocol):
    """A quantized file of any format.

    Attributes:
        format: "tflite" or "onnx".
        input: how its input is coded, None where the graph takes floats and codes none.
        operators: in the order of execution; those that only code and decode are left out.
    """

    format: str
    input: ActivationCodes | None
    operators: tuple[QuantizedOperator, ...]

    def run(self, inputs: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
        """Run model inputs (n, height, width, channels), some at a time.

        Yields:
            What each operator wrote, decoded, (k, ...) channels last, in the order of `operators`.
        """
        ...
