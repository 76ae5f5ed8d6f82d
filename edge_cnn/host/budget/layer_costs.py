"""What each kind of Keras layer costs where it is exported, and which kinds are no operator of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import ModelError


@dataclass(frozen=True)
class Cost:
    """Of one operator, for one sample.

    Attributes:
        macs: multiplications with an addition, of weights only.
        weights: how many, without biases.
        channels: how many of them share a scale of their own when quantized: output channels.
        biases: how many.
        elements: of its output.
    """

    macs: int = 0
    weights: int = 0
    channels: int = 0
    biases: int = 0
    elements: int = 0


VANISHING = frozenset({"Dropout", "BaseSpatialDropout", "GaussianDropout", "GaussianNoise", "Identity"})
"""Does nothing where nothing is trained."""

SAME_BYTES = frozenset({"Flatten", "Reshape"})
"""Its output lies where its input lies."""

FOLDING = frozenset({"Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense"})
"""Takes batch normalization into its weights and biases."""

ACTIVATING = FOLDING | {"Add", "Subtract", "Multiply", "BatchNormalization", "AveragePooling2D", "MaxPooling2D"}
"""Takes a ReLU into its operator."""

_ELEMENTWISE = frozenset({"BatchNormalization", "LayerNormalization", "Normalization", "PReLU"})
_RELUS = frozenset({"relu", "relu6"})


def kinds_of(layer: Any) -> tuple[str, ...]:
    """Names of its class and of what that is derived from, nearest first."""
    return tuple(kind.__name__ for kind in type(layer).__mro__)


def costs_of(layer: Any, node: Any) -> list[Cost]:
    """Of the operators that one call of a layer becomes.

    Args:
        layer: a Keras layer or operation.
        node: its call, with Keras tensors as `input_tensors` and `outputs`.

    Raises:
        ModelError: an open shape.
    """
    known = next((_COSTS[kind] for kind in kinds_of(layer) if kind in _COSTS), None)
    if known is not None:
        return known(layer, node)
    weights = sum(_count(weight) for weight in getattr(layer, "weights", []))
    return [Cost(weights=weights, channels=1 if weights else 0, elements=elements_of(node.outputs[0]))]


def is_uncounted(layer: Any) -> bool:
    """Whether it multiplies weights in a way that is not known here."""
    kinds = kinds_of(layer)
    return bool(getattr(layer, "weights", [])) and not any(k in _COSTS or k in _ELEMENTWISE for k in kinds)


def own_activation(layer: Any) -> str:
    """The function that a layer with weights applies at its end; "" for none."""
    if not any(kind in FOLDING for kind in kinds_of(layer)):
        return ""
    name = getattr(layer.activation, "__name__", "linear")
    return "" if name == "linear" else name


def is_relu(layer: Any) -> bool:
    """Whether a layer is ReLU or ReLU6 and nothing else, so that an operator can do it at its end."""
    if type(layer).__name__ == "ReLU":
        return layer.max_value in (None, 6) and not layer.negative_slope and not layer.threshold
    return type(layer).__name__ == "Activation" and is_relu_name(getattr(layer.activation, "__name__", ""))


def is_relu_name(name: str) -> bool:
    """Whether an activation function of this name is ReLU or ReLU6."""
    return name in _RELUS


def elements_of(tensor: Any) -> int:
    """Of one sample. Raises: ModelError: a dimension is open."""
    if any(size is None for size in tensor.shape[1:]):
        raise ModelError(f"a tensor has the open shape {tuple(tensor.shape)}; give a model of fixed size to count it")
    return math.prod(tensor.shape[1:])


def _count(weight: Any) -> int:
    return math.prod(weight.shape)


def _product(kernel: Any, channels: int, places: int, elements: int, *, bias: bool = True) -> Cost:
    """A kernel that is applied at so many places."""
    return Cost(places * _count(kernel), _count(kernel), channels, channels if bias else 0, elements)


def _convolution(layer: Any, node: Any) -> list[Cost]:
    # Without a bias it gets one of zeros, as its operator must have one.
    elements = elements_of(node.outputs[0])
    return [_product(layer.kernel, layer.filters, elements // layer.filters, elements)]


def _transposed(layer: Any, node: Any) -> list[Cost]:
    places = elements_of(node.input_tensors[0]) // layer.kernel.shape[-1]
    return [_product(layer.kernel, layer.filters, places, elements_of(node.outputs[0]))]


def _depthwise(layer: Any, node: Any) -> list[Cost]:
    channels, elements = layer.kernel.shape[-2] * layer.kernel.shape[-1], elements_of(node.outputs[0])
    return [_product(layer.kernel, channels, elements // channels, elements)]


def _separable(layer: Any, node: Any) -> list[Cost]:
    kernel, elements = layer.depthwise_kernel, elements_of(node.outputs[0])
    channels, places = kernel.shape[-2] * kernel.shape[-1], elements // layer.filters
    return [
        _product(kernel, channels, places, places * channels),
        _product(layer.pointwise_kernel, layer.filters, places, elements),
    ]


def _dense(layer: Any, node: Any) -> list[Cost]:
    elements = elements_of(node.outputs[0])
    return [_product(layer.kernel, layer.units, elements // layer.units, elements, bias=layer.use_bias)]


_COSTS: dict[str, Callable[[Any, Any], list[Cost]]] = {
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
}
