"""Which stripes a filter answers to: its response to gratings, as Hubel and Wiesel measured nerve cells.

The answer of a linear filter to a grating, at the phase that suits it best, is the size of its Fourier transform at the
grating's frequency; so every grating is tried without drawing one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FREQUENCIES = (1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2)
"""Cycles a pixel; 1/2 is the finest grating that pixels can show."""

ANGLES = np.arange(0, 180, 7.5)
"""Degrees from the x axis to the direction in which the light changes; the stripes lie across it."""

SELECTIVE = 0.1
"""Least selectivity of a filter that is said to have a direction: an edge has 0.33 and more, a spot 0."""

COLOUR_SHARE = 0.5
"""Of a filter's squared weights that gray light cannot reach; with more it answers to colour."""

FAINT = 0.05
"""Of the longest filter's length; a shorter one says little."""

BRIGHTNESS, NO_DIRECTION, HORIZONTAL, VERTICAL, DIAGONAL, COLOUR, SILENT = KINDS = (
    "brightness",
    "no direction",
    "horizontal",
    "vertical",
    "diagonal",
    "colour",
    "faint",
)
"""What a filter may answer to most: even light, no direction more than others, stripes, colour; or hardly anything."""


def filter_kind(kernel: NDArray[np.floating]) -> str:
    """One of `KINDS` but `SILENT`: the stimulus of all that are tried to which a filter answers most.

    Stimuli have the same contrast: even light, and gratings of `FREQUENCIES` in all directions. They are gray; a filter
    over red, green and blue whose weights differ more than they agree answers to colour instead.

    Args:
        kernel: (height, width, channels).
    """
    gray = kernel.mean(axis=2)
    whole = float(np.sum(kernel**2.0))
    if kernel.shape[2] == 3 and whole - 3 * float(np.sum(gray**2.0)) > COLOUR_SHARE * whole:
        return COLOUR
    responses = grating_responses(gray)
    if abs(float(gray.sum())) >= responses.max():
        return BRIGHTNESS
    if selectivity(responses) < SELECTIVE:
        return NO_DIRECTION
    return stripes_at(float(ANGLES[responses.max(axis=0).argmax()]))


def filter_kinds(kernels: NDArray[np.floating]) -> list[str]:
    """One of `KINDS` a filter, where kernels are (count, height, width, channels)."""
    lengths = np.sqrt(np.sum(kernels**2.0, axis=(1, 2, 3)))
    faint = lengths <= FAINT * lengths.max()
    return [SILENT if quiet else filter_kind(kernel) for quiet, kernel in zip(faint, kernels, strict=True)]


def grating_responses(kernel: NDArray[np.floating]) -> NDArray[np.float64]:
    """Largest answer over all phases to gratings between -1 and 1: float64 (frequencies, angles).

    Args:
        kernel: (height, width); rows go down.
    """
    height, width = kernel.shape
    radians = np.deg2rad(ANGLES)
    along = np.arange(width)[None, None, :] * np.cos(radians)[:, None, None]
    along = along + np.arange(height)[None, :, None] * np.sin(radians)[:, None, None]
    waves = np.exp(2j * np.pi * np.array(FREQUENCIES)[:, None, None, None] * along)
    return np.abs(np.sum(waves * kernel, axis=(2, 3)))


def selectivity(responses: NDArray[np.float64]) -> float:
    """How much a filter prefers a direction, in [0, 1]: 1 - circular variance (Ringach, Shapley and Hawken 2002).

    Args:
        responses: (frequencies, angles), of which the best frequency of each angle counts.
    """
    best = responses.max(axis=0)
    return float(np.abs(np.sum(best * np.exp(2j * np.deg2rad(ANGLES)))) / max(best.sum(), 1e-30))


def stripes_at(angle: float) -> str:
    """The name of the stripes that lie across `angle`, in degrees of [0, 180): each has a quarter of the circle."""
    if 22.5 <= angle < 67.5 or 112.5 <= angle < 157.5:
        return DIAGONAL
    return HORIZONTAL if 67.5 <= angle < 112.5 else VERTICAL
