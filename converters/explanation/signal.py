"""Sums over batches from which a layer's figures follow: signal, noise, extremes and means, channel by channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.explanation.quantized_model import ActivationCodes


class Signal:
    """A tensor of the reference against the same tensor computed otherwise, summed over batches.

    Attributes:
        low, high: float64 (channels,), extremes of the reference.
        other_low, other_high: float64 (channels,), extremes of the other.
    """

    def __init__(self) -> None:
        self._signal: Any = 0.0
        self._noise: Any = 0.0
        self._clipped: Any = 0.0
        self._error: Any = 0.0
        self._values = 0
        self._beyond = 0
        self.low: Any = math.inf
        self.high: Any = -math.inf
        self.other_low: Any = math.inf
        self.other_high: Any = -math.inf

    def add(self, reference: NDArray[Any], other: NDArray[Any], codes: ActivationCodes | None = None) -> None:
        """Add a batch of both, (n, ..., channels); `codes` says which of the reference's values have no code."""
        wanted = reference.reshape(-1, reference.shape[-1] if reference.ndim > 1 else 1).astype(np.float64)
        got = other.reshape(wanted.shape).astype(np.float64)
        error = got - wanted
        self._signal = self._signal + (wanted * wanted).sum(axis=0)
        self._noise = self._noise + (error * error).sum(axis=0)
        self._error = self._error + error.sum(axis=0)
        self._values += len(wanted)
        self.low = np.minimum(self.low, wanted.min(axis=0))
        self.high = np.maximum(self.high, wanted.max(axis=0))
        self.other_low = np.minimum(self.other_low, got.min(axis=0))
        self.other_high = np.maximum(self.other_high, got.max(axis=0))
        if codes is not None:
            over = np.maximum(wanted - codes.high, codes.low - wanted)
            # Half a step beyond the last code is still rounding.
            beyond = over > codes.scale / 2
            self._beyond += int(beyond.sum())
            self._clipped = self._clipped + (np.where(beyond, over, 0.0) ** 2).sum(axis=0)

    @property
    def channels(self) -> int:
        return len(self.low)

    @property
    def sqnr_db(self) -> float:
        """Over all channels; infinite without noise."""
        return ratio_db(float(np.sum(self._signal)), float(np.sum(self._noise)))

    @property
    def channel_sqnr_db(self) -> NDArray[np.float64]:
        """(channels,)."""
        return np.array([ratio_db(float(s), float(n)) for s, n in zip(self._signal, self._noise, strict=True)])

    @property
    def mean_error(self) -> NDArray[np.float64]:
        """(channels,), the other's mean less the reference's."""
        return self._error / max(self._values, 1)

    @property
    def saturation(self) -> float:
        """Share of the reference's values that have no code."""
        return self._beyond / max(self._values * self.channels, 1)

    @property
    def clipped_share(self) -> float:
        """Share of the noise that comes from them."""
        noise = float(np.sum(self._noise))
        return min(float(np.sum(self._clipped)) / noise, 1.0) if noise > 0 else 0.0


def ratio_db(signal: float, noise: float) -> float:
    """10 log10(signal / noise); infinite without noise, minus infinite with noise alone or what is not finite."""
    if not math.isfinite(signal) or not math.isfinite(noise):
        return -math.inf
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
