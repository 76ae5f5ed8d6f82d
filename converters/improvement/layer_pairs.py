"""Which layers can be scaled against each other: those where one reads what the other writes, and nobody else does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph, Layer, Operator

_NONE, _RELU = 0, 1
_FUSED = {2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH"}

_SCALABLE = frozenset(
    {
        "RELU",
        "LEAKY_RELU",
        "PRELU",
        "AVERAGE_POOL_2D",
        "MAX_POOL_2D",
        "MEAN",
        "RESHAPE",
        "SQUEEZE",
        "PAD",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
    }
)
"""Operators with f(s x) = s f(x) for s > 0 in every channel, channels last."""


@dataclass(frozen=True)
class Pair:
    """Two layers where `second` alone reads what `first` writes.

    Attributes:
        first: writes the channels.
        second: reads them.
        owners: for each place of the last axis of the second layer's weights, which channel it reads; int64.
    """

    first: Layer
    second: Layer
    owners: NDArray[np.int64]

    @property
    def channels(self) -> int:
        """How many channels the first layer writes."""
        return int(self.owners.max()) + 1

    @property
    def names(self) -> tuple[str, str]:
        return self.first.name, self.second.name


def find_pairs(graph: FloatGraph) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """All pairs in the order of execution, and for each layer that starts none, why."""
    pairs: list[Pair] = []
    skipped: list[str] = []
    for layer in graph.layers:
        found = _following(graph, layer)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            skipped.append(f"{layer.name.split(';')[0]}: {found}")
    return tuple(pairs), tuple(skipped)


def _following(graph: FloatGraph, first: Layer) -> Pair | str:
    if first.bias is None or graph.tensors[first.bias].constant is None:
        return "it has no constant bias"
    by_operator = {layer.operator.index: layer for layer in graph.layers}
    channels = graph.tensors[first.weights].shape[first.channel_axis]
    operator = first.operator
    while True:
        reason = _not_scalable(graph, operator, channels)
        if reason:
            return reason
        written = operator.outputs[0]
        readers = [o for o in graph.operators if written in o.inputs]
        if written in graph.outputs or not readers:
            return "its output is the model's"
        if len(readers) > 1:
            return f"{len(readers)} operators read its output"
        operator = readers[0]
        if operator.index in by_operator:
            return _pair(graph, first, by_operator[operator.index], channels)
        if operator.op not in _SCALABLE:
            return f"{operator.op} follows"


def _not_scalable(graph: FloatGraph, operator: Operator, channels: int) -> str:
    fused = operator.options.get("fusedActivationFunction") or _NONE
    if fused not in (_NONE, _RELU):
        return f"{_FUSED.get(fused, fused)} follows, which scaling would move"
    if operator.op == "MEAN":
        rank = len(graph.tensors[operator.inputs[0]].shape)
        if rank - 1 in {int(axis) % rank for axis in np.atleast_1d(graph.constant(operator.inputs[1]))}:
            return "MEAN over channels follows"
    if operator.op == "PAD" and graph.constant(operator.inputs[1])[-1].any():
        return "PAD of channels follows"
    # Rows of a reshaped tensor still hold whole pixels if their length is a multiple of the channels.
    last = graph.tensors[operator.outputs[0]].shape[-1]
    return f"{operator.op} splits its channels" if last % channels else ""


def _pair(graph: FloatGraph, first: Layer, second: Layer, channels: int) -> Pair | str:
    width = graph.tensors[second.weights].shape[-1]
    read = graph.tensors[second.input].shape[-1]
    if second.operator.op == "DEPTHWISE_CONV_2D":
        # Output channel o of a depthwise layer reads input channel o // multiplier.
        places = np.arange(width) // (width // read)
    elif second.operator.op != "FULLY_CONNECTED" and width != read:
        return "a grouped convolution follows"
    else:
        places = np.arange(width)
    if width % channels or second.input == second.weights:
        return f"{second.operator.op} splits its channels"
    return Pair(first, second, places % channels)
