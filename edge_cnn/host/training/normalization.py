"""Inputs of another scale than networks are made for, and the layer that mends them inside the network.

Initial weights are drawn for inputs with a mean near 0 and a deviation near 1, and gradients of the first layer grow
with its inputs (LeCun, Bottou, Orr and Müller 1998, section 4.3). A float input is a model input as it is, so what
mends it must travel inside the model: a 1x1 depthwise convolution that no training changes, which every target can run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.objectives import find_objective

if TYPE_CHECKING:
    from edge_cnn.host.training.config import TrainConfig

AUTO, NONE = "auto", "none"
LAYER = "normalization"

LARGEST, SMALLEST = 3.0, 0.05
"""Of a channel's root mean square, and of its deviation: beyond them training suffers (docs/training.md)."""

OFFSET = 10.0
"""Of the mean, in deviations."""

SPREAD = 20.0
"""Of deviations, from channel to channel."""

_PIXEL = 255.0
_SAMPLES = 2000
"""As many tell a scale."""


@dataclass(frozen=True)
class Normalization:
    """(input - mean) / std, one of each a channel, and why.

    Attributes:
        mean, std: one value a channel.
        reason: what is wrong with the inputs, for a person.
        like_pixels: they are 0..255, which becomes 0..1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    reason: str
    like_pixels: bool = False


def find_normalization(inputs: NDArray[Any]) -> Normalization | None:
    """What float inputs need before a network can learn from them well; None where they are fine.

    Args:
        inputs: float (n, height, width, channels), finite; of many some are looked at.
    """
    some = inputs[:: max(1, len(inputs) // _SAMPLES)].astype(np.float64)
    mean, std = some.mean(axis=(0, 1, 2)), some.std(axis=(0, 1, 2))
    low, high = float(some.min()), float(some.max())
    # The deviation of a constant computed in floats is not quite 0.
    varies = std > 1e-6 * np.maximum(np.abs(mean), 1e-30)
    if not varies.any():
        return None
    mean_of, deviations = np.abs(mean[varies]), std[varies]
    if _is_usual(mean_of, deviations):
        return None
    if low >= 0 and high <= _PIXEL and _is_usual(mean_of / _PIXEL, deviations / _PIXEL):
        channels = len(mean)
        reason = f"{low:.4g}..{high:.4g}, like pixels"
        return Normalization((0.0,) * channels, (_PIXEL,) * channels, reason, like_pixels=True)
    if deviations.max() > SPREAD * deviations.min():
        small, large = deviations.min(), deviations.max()
        reason = f"from channel to channel of deviations {small:.3g} to {large:.3g}"
    else:
        reason = f"{low:.4g}..{high:.4g}, mean {_few(mean[varies])}, deviation {_few(deviations)}"
    return Normalization(tuple(mean.tolist()), tuple(np.where(varies, std, 1.0).tolist()), reason)


def _is_usual(mean: NDArray[np.float64], deviations: NDArray[np.float64]) -> bool:
    return bool(
        np.hypot(mean, deviations).max() <= LARGEST
        and deviations.min() >= SMALLEST
        and deviations.max() <= SPREAD * deviations.min()
        and np.all(mean <= OFFSET * deviations)
    )


def puts_normalization(config: TrainConfig) -> bool:
    """Whether a training puts the layer where its inputs need it: what reconstructs them must see them as they are."""
    return config.normalization == AUTO and find_objective(config.objective).classifies


def with_normalization(model: Any, normalization: Normalization) -> Any:
    """A copy of the network, with its weights, behind a layer that normalizes; a new `keras.Model`."""
    _, keras = import_tensorflow()
    inputs = keras.Input(model.input_shape[1:], name=model.inputs[0].name)
    layer = keras.layers.DepthwiseConv2D(1, trainable=False, name=LAYER)
    normalized = layer(inputs)
    std = np.array(normalization.std)
    layer.set_weights([(1 / std).reshape(1, 1, -1, 1), -np.array(normalization.mean) / std])

    def call(operation: Any, *arguments: Any, **named: Any) -> Any:
        return operation(*(normalized if argument is inputs else argument for argument in arguments), **named)

    # Layers of its own: one that is part of two networks has two outputs, and asked for one it gives the wrong.
    behind = keras.models.clone_model(model, inputs, call_function=call)
    for copied in model.layers:
        behind.get_layer(copied.name).set_weights(copied.get_weights())
    return behind


def _few(values: NDArray[np.float64]) -> str:
    ends = f"{values.min():.3g}", f"{values.max():.3g}"
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
