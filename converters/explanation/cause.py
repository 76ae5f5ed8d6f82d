"""A cause is one function, whose docstring is its message and its documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.explanation.layer_facts import LayerFacts
from edge_cnn.core.preprocessing import Preprocessing

NOISE_FLOOR = "noise floor"
"""The cause of a layer whose noise is that of 8 bits and no more."""

HARMFUL_FLIPS = 0.04
HARMFUL_DIVERGENCE = 0.03
"""A layer that alone changes fewer answers and scores than this has no fault; healthy 8-bit layers stay below half."""

SAME_SCALE = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PAD", "TRANSPOSE"})
FIXED_SCALE = frozenset({"SOFTMAX", "LOGISTIC", "TANH"})
"""Operators whose scale TFLite's specification fixes: their input's, or one for all models."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of the models as wholes.

    Attributes:
        preprocessing: from pixels to the reference's input, None where the data are model inputs already.
        stated: the preprocessing that the quantized file's manifest or metadata states, None where they do not.
        labels, stated_labels: class names of the reference and of the quantized file, None where one has none.
        float_scores, quantized_scores: float32 (n, classes).
    """

    preprocessing: Preprocessing | None
    stated: Preprocessing | None
    labels: tuple[str, ...] | None
    stated_labels: tuple[str, ...] | None
    float_scores: NDArray[np.float32]
    quantized_scores: NDArray[np.float32]


@dataclass(frozen=True)
class Finding:
    """A cause that a layer has.

    Attributes:
        name: of the cause, a few words.
        sentence: what the cause is.
        evidence: the figures that show it here.
        explains_others: whether what other layers lose follows from it.
        mended_anew: whether quantizing the reference again, with right inputs and ranges, mends it.
    """

    name: str
    sentence: str
    evidence: str
    explains_others: bool = False
    mended_anew: bool = False


@dataclass(frozen=True)
class Cause:
    """A way for a layer to lose accuracy.

    Attributes:
        name: a few words.
        find: layer, models -> the figures that show it, None where it does not hold.
        needs_harm: whether it is one only where it hurts: a healthy file has wide ranges and uneven channels too.
        explains_others: whether what other layers lose follows from it, so that it is told first.
        mended_anew: whether quantizing the reference again, with right inputs and ranges, mends it.
    """

    name: str
    find: Callable[[LayerFacts, ModelFacts], str | None]
    needs_harm: bool = True
    explains_others: bool = False
    mended_anew: bool = False

    @property
    def sentence(self) -> str:
        """The first line of the function's docstring."""
        return (self.find.__doc__ or "").strip().splitlines()[0].rstrip(".")


def is_harmful(layer: LayerFacts) -> bool:
    """Whether the layer alone changes more answers or scores than healthy 8 bits do."""
    return layer.damage.flips >= HARMFUL_FLIPS or layer.damage.divergence >= HARMFUL_DIVERGENCE
