"""The usual ways from pixels to inputs, and when one of them is clearly better than the one at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.preprocessing import Preprocessing, input_range
from edge_cnn.device.opening import KNOWN_RANGES
from edge_cnn.verify.mcnemar import mcnemar_p_value

PROBE_SAMPLES = 200
"""As many are enough to tell ways apart that differ by `CLEAR_GAIN`."""

CLEAR_GAIN = 0.1
CLEAR_P_VALUE = 0.05
"""A way is clearly better if the model gets so many more samples right, and McNemar's test says it is not chance."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of pixels 0..1, red first: what torchvision's models are trained with."""


@dataclass(frozen=True)
class UsualWay:
    """A usual preprocessing.

    Attributes:
        name: for a person.
        preprocessing: of images of some shape.
        advice: what to give to `export` and `explain` to have it.
    """

    name: str
    preprocessing: Preprocessing
    advice: str


@dataclass(frozen=True)
class BetterWay:
    """A usual way that is clearly better than the one at hand.

    Attributes:
        way: which.
        share: of samples that the float model gets right with it.
    """

    way: UsualWay
    share: float


def usual_ways(image_shape: tuple[int, int, int]) -> list[UsualWay]:
    """For images (height, width, channels)."""
    found = [
        UsualWay(f"{low:g}..{high:g}", input_range(low, high, image_shape), f"try --input-range {low:g},{high:g}")
        for low, high in KNOWN_RANGES
    ]
    if image_shape[2] == 3:
        mean, std = (tuple(255 * x for x in values) for values in (_IMAGENET_MEAN, _IMAGENET_STD))
        advice = "give the normalized images as floats, or a training.json that says so"
        found.append(UsualWay("ImageNet's mean and deviation", Preprocessing(*image_shape, mean, std), advice))
    return found


def better_way(
    at_hand: Preprocessing, right: NDArray[np.bool_], answers: Callable[[Preprocessing], NDArray[np.bool_]]
) -> BetterWay | None:
    """The best of the usual ways, if it is clearly better than the one at hand.

    Args:
        at_hand: the preprocessing in use.
        right: bool (n,), which samples the float model gets right with it.
        answers: the same of another preprocessing.
    """
    others = [way for way in usual_ways(at_hand.image_shape) if not _same(way.preprocessing, at_hand)]
    tried = [(way, answers(way.preprocessing)) for way in others]
    way, theirs = max(tried, key=lambda one: float(np.mean(one[1])))
    gain = float(np.mean(theirs)) - float(np.mean(right))
    by_chance = mcnemar_p_value(int(np.sum(right & ~theirs)), int(np.sum(theirs & ~right)))
    if gain < CLEAR_GAIN - 1e-6 or by_chance > CLEAR_P_VALUE:
        return None
    return BetterWay(way, float(np.mean(theirs)))


def _same(one: Preprocessing, other: Preprocessing) -> bool:
    """Equal but for rounding: people round ImageNet's deviation."""
    std = np.asarray(other.std)
    mean_differs = np.abs(np.asarray(one.mean) - np.asarray(other.mean)) > 0.05 * std
    return not mean_differs.any() and bool(np.allclose(one.std, std, rtol=0.05))
