"""Whether images are noise: neighbouring pixels of real ones are alike, those of random data are not.

For each image the correlation of every pixel with its lower and with its right neighbour is taken about the image's own
mean, and averaged over channels. In independent values, and in the pixels of a real image shuffled, its expectation is
about -1 / pixels, whatever the distribution of the values is (Moran 1950, of which this is the two lags). Data counts
as noise where the median over the images is small along both axes.

That refuses real data only if along both axes more than half of its images are like noise one by one. Where an image
is so with probability p, n independent ones are refused with probability below (4 p (1 - p))^(n / 2) (Chernoff). None
of 5,000 CIFAR-10 images, 4,000 digits and 1,000 spectrograms was, so p < 0.3 % with 95 % confidence for each, and the
bound is 1e-19 for 20 images. `tests/converters/calibration/test_image_noise.py` measures it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_CORRELATION = 0.2
"""Below it an image is like noise. The lowest percentile of CIFAR-10 is 0.75, of digits 0.69 (8x8: 0.42), of
spectrograms 0.81.
"""
MIN_PIXELS = 64
"""Of an image: with fewer, correlations of noise scatter beyond the limit too often for one image to be judged."""
MIN_SIDE = 4
_VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class NoiseStatistic:
    """What the correlations of neighbours say.

    Attributes:
        correlation: median over images along the axis where it is larger, in [-1, 1]; None where every image is
            constant or too small to judge.
        noisy_images: how many are like noise along both axes.
    """

    correlation: float | None
    noisy_images: int

    @property
    def is_noise(self) -> bool:
        """Whether the data is random: no axis has correlated neighbours."""
        return self.correlation is not None and self.correlation < LEAST_CORRELATION


def noise_statistic(inputs: NDArray[np.float32]) -> NoiseStatistic:
    """Measure images (n, height, width, channels), at their size and, where that leaves enough, at half of it.

    The half size sees noise that was enlarged to the model's size; the lower figure counts.
    """
    judged = _judge(inputs)
    height, width = inputs.shape[1] // 2, inputs.shape[2] // 2
    if min(height, width) < MIN_SIDE or height * width < MIN_PIXELS:
        return judged
    halved = _judge(inputs, halve=True)
    if halved.correlation is None or (judged.correlation is not None and judged.correlation <= halved.correlation):
        return judged
    return NoiseStatistic(halved.correlation, max(judged.noisy_images, halved.noisy_images))


def _judge(inputs: NDArray[np.float32], *, halve: bool = False) -> NoiseStatistic:
    height, width = inputs.shape[1:3]
    if min(height, width) < MIN_SIDE or height * width < MIN_PIXELS:
        return NoiseStatistic(None, 0)
    at_once = max(1, _VALUES_AT_ONCE // max(1, inputs[0].size))
    parts = [inputs[i : i + at_once] for i in range(0, len(inputs), at_once)]
    down_and_right = np.concatenate([neighbour_correlation(_halved(part) if halve else part) for part in parts], axis=1)
    judged = down_and_right[:, ~np.isnan(down_and_right).any(axis=0)]
    if not judged.shape[1]:
        return NoiseStatistic(None, 0)
    # Rows of a spectrogram may be anticorrelated; noise is neither.
    of_axes = np.abs(np.median(judged, axis=1))
    noisy = np.abs(judged).max(axis=0) < LEAST_CORRELATION
    return NoiseStatistic(float(of_axes.max()), int(noisy.sum()))


def neighbour_correlation(images: NDArray[Any]) -> NDArray[np.float64]:
    """Correlation of pixels with their lower and right neighbours: (n, height, width, channels) -> float64 (2, n).

    About each channel's mean, averaged over channels that are not constant; NaN for images that are.
    """
    centred = images.astype(np.float64)
    size = np.abs(centred).max(axis=(1, 2))
    centred -= centred.mean(axis=(1, 2), keepdims=True)
    variance = (centred**2).mean(axis=(1, 2))
    varies = variance > (1e-6 * size) ** 2
    safe = np.where(varies, variance, 1.0)
    down = (centred[:, 1:] * centred[:, :-1]).mean(axis=(1, 2)) / safe
    right = (centred[:, :, 1:] * centred[:, :, :-1]).mean(axis=(1, 2)) / safe
    channels = varies.sum(axis=1)
    figures = np.stack([(axis * varies).sum(axis=1) / np.maximum(channels, 1) for axis in (down, right)])
    figures[:, channels == 0] = np.nan
    return figures


def _halved(images: NDArray[Any]) -> NDArray[np.float32]:
    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    even = images[:, :height, :width]
    corners = [even[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return np.stack(corners).mean(axis=0).astype(np.float32)
