"""What is known of a layer before anyone asks why: its codes, what it gives in both models, what it costs alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.explanation.quantized_model import ActivationCodes, QuantizedOperator
from converters.explanation.signal import Signal, ratio_db

INPUT_OP = "INPUT"
"""The model's input stands in the list as a layer of this kind: its codes cost accuracy as any layer's do."""


@dataclass(frozen=True)
class Damage:
    """What one layer costs when everything else is float.

    Attributes:
        drop: share of samples that the float model gets right, less the share with this layer quantized.
        flips: share of samples whose top class changes; needs no labels.
        divergence: mean Kullback-Leibler divergence of the scores from the float model's, in nats.
    """

    drop: float
    flips: float
    divergence: float


@dataclass(frozen=True)
class LayerFacts:
    """All figures of one layer.

    Attributes:
        name: of its output tensor in the float graph; the quantizer leaves it in float by this name.
        op: as TFLite's schema names it, or INPUT.
        codes: how the quantized file codes its output, None where that is float.
        quantized: the operator in the quantized file; None for the input.
        weights: float32, the reference's, None where it has none.
        bias: float64 (channels,), the reference's.
        channel_axis: of the weights' output channels.
        whole: its output in the running quantized file, against the reference: all noise from before included.
        alone: its output when only this layer is quantized, against the reference: its own noise alone.
        damage: of that, on the model's scores.
        is_first, is_last: among the layers with weights.
    """

    name: str
    op: str
    codes: ActivationCodes | None
    quantized: QuantizedOperator | None
    weights: NDArray[np.float32] | None
    bias: NDArray[np.float64] | None
    channel_axis: int
    whole: Signal
    alone: Signal
    damage: Damage
    is_first: bool = False
    is_last: bool = False

    @property
    def short_name(self) -> str:
        """The first part of the name: converters join those of all operations that they fuse."""
        return self.name.split(";")[0]

    @property
    def sqnr_db(self) -> float:
        """Of the layer's output in the quantized file."""
        return self.whole.sqnr_db

    @property
    def range_use(self) -> float | None:
        """Share of the codes between the smallest and the largest value that the reference gives; None for float."""
        if self.codes is None:
            return None
        low, high = max(float(self.alone.low.min()), self.codes.low), min(float(self.alone.high.max()), self.codes.high)
        return min(max((high - low) / self.codes.scale + 1, 1) / self.codes.count, 1.0)

    @property
    def saturation(self) -> float:
        """Share of the reference's values beyond the first or the last code."""
        return self.alone.saturation

    @cached_property
    def channel_widths(self) -> NDArray[np.float64]:
        """(channels,), largest less smallest value of the reference, 0 included as codes include it."""
        return np.maximum(self.alone.high, 0) - np.minimum(self.alone.low, 0)

    @property
    def activation_spread(self) -> float | None:
        """Largest channel width by the smallest of those that are not 0; None without two such channels."""
        return _spread(self.channel_widths)

    @cached_property
    def weight_widths(self) -> NDArray[np.float64] | None:
        """(channels,), the largest absolute weight of each output channel."""
        if self.weights is None:
            return None
        others = tuple(i for i in range(self.weights.ndim) if i != self.channel_axis)
        return np.abs(self.weights).max(axis=others).astype(np.float64)

    @property
    def weight_spread(self) -> float | None:
        """Largest channel width of the weights by the smallest."""
        return None if self.weight_widths is None else _spread(self.weight_widths)

    @cached_property
    def weight_error(self) -> NDArray[np.float64] | None:
        """The file's weights less the reference's, in the shape of the weights."""
        values = None if self.quantized is None else self.quantized.weight_values
        if values is None or self.weights is None:
            return None
        return values.astype(np.float64) - self.weights

    @property
    def weight_sqnr_db(self) -> NDArray[np.float64] | None:
        """(channels,), of the weights alone."""
        if self.weight_error is None or self.weights is None:
            return None
        signal = by_channel(self.weights.astype(np.float64) ** 2, self.channel_axis).sum(axis=1)
        noise = by_channel(self.weight_error**2, self.channel_axis).sum(axis=1)
        return np.array([ratio_db(float(s), float(n)) for s, n in zip(signal, noise, strict=True)])

    @cached_property
    def dead_channels(self) -> NDArray[np.int64]:
        """Channels that are constant when only this layer is quantized, and were not."""
        step = 0.0 if self.codes is None else self.codes.scale
        still = self.alone.other_high - self.alone.other_low <= 0
        return np.flatnonzero(still & (self.alone.high - self.alone.low > 4 * step))

    @property
    def constant_channels(self) -> int:
        """Channels that give one value for all samples in the quantized file."""
        return int(np.sum(self.whole.other_high - self.whole.other_low <= 0))


def by_channel(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """(channels, weights a channel)."""
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _spread(widths: NDArray[np.float64]) -> float | None:
    used = widths[widths > 0]
    return float(used.max() / used.min()) if len(used) > 1 else None
