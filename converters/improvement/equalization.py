"""Cross-layer equalization: channels of neighbouring layers scaled against each other, the function unchanged.

A channel that is much larger than its neighbours takes the range of the whole activation, and leaves the others few of
the 256 codes. Where a layer's output is read by one other layer, through operators that f(s x) = s f(x) holds for, a
channel may be divided by s and what reads it multiplied by s. With s = sqrt(r1 / r2) the channel's largest weight is
the same on both sides (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
eq. 11). High biases are not absorbed into the next layer: with zero padding that changes the function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph, Layer
from converters.improvement.layer_pairs import Pair, find_pairs
from converters.improvement.own_constants import with_own_constants

_CONVERGED = 1e-7
_MAX_ROUNDS = 10_000
"""A chain of layers settles within hundreds of rounds, each of which takes some microseconds a layer."""


@dataclass(frozen=True)
class Equalized:
    """An equalized graph.

    Attributes:
        graph: computes what the graph before computed.
        pairs: which layers were equalized against each other.
        skipped: why other layers were not, one sentence each.
    """

    graph: FloatGraph
    pairs: tuple[Pair, ...]
    skipped: tuple[str, ...]


def equalize(graph: FloatGraph) -> Equalized:
    """Equalize all pairs of layers again and again, until nothing changes.

    Args:
        graph: float32, BatchNorm folded.
    """
    graph = with_own_constants(graph)
    pairs, skipped = find_pairs(graph)
    layers = {layer.weights: layer for pair in pairs for layer in (pair.first, pair.second)}
    largest = {index: _largest(graph, layer) for index, layer in layers.items()}
    weights = {index: graph.constant(index).astype(np.float64) for index in layers}
    biases = {i.bias: graph.constant(i.bias).astype(np.float64) for i in layers.values() if i.bias is not None}
    factors = {pair.first.weights: np.ones(pair.channels) for pair in pairs}
    for _ in range(_MAX_ROUNDS):
        changes = [_equalize_pair(pair, largest, factors) for pair in pairs]
        if max(changes, default=0.0) < _CONVERGED:
            break
    for pair in pairs:
        factor = factors[pair.first.weights]
        weights[pair.first.weights] /= _along(factor, pair.first, graph)
        assert pair.first.bias is not None
        biases[pair.first.bias] /= factor
        weights[pair.second.weights] *= factor[pair.owners]
    changed = {index: value.astype(np.float32) for index, value in (weights | biases).items()}
    return Equalized(graph.with_constants(changed) if pairs else graph, pairs, skipped)


def channel_ranges(graph: FloatGraph, pair: Pair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest magnitude of the weights that make a channel, and of those that read it: float64 (channels,) each."""
    return _ranges(pair, _largest(graph, pair.first), _largest(graph, pair.second))


def _equalize_pair(
    pair: Pair, largest: dict[int, NDArray[np.float64]], factors: dict[int, NDArray[np.float64]]
) -> float:
    first, second = _ranges(pair, largest[pair.first.weights], largest[pair.second.weights])
    # A channel that is zero on either side has no range to compare, and nothing to lose.
    live = (first > 0) & (second > 0)
    factor = np.ones(pair.channels)
    factor[live] = np.sqrt(first[live] / second[live])
    axes = (1,) * (largest[pair.first.weights].ndim - 1)
    shape = (*axes, -1) if pair.first.channel_axis == 3 else (-1, *axes)
    largest[pair.first.weights] /= factor.reshape(shape)
    largest[pair.second.weights] *= factor[pair.owners]
    factors[pair.first.weights] *= factor
    return float(np.abs(np.log(factor)).max(initial=0.0))


def _ranges(
    pair: Pair, first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = pair.first.channel_axis
    made = first.max(axis=tuple(i for i in range(first.ndim) if i != axis))
    read = np.zeros(pair.channels)
    np.maximum.at(read, pair.owners, second.reshape(-1, second.shape[-1]).max(axis=0))
    return made, read


def _largest(graph: FloatGraph, layer: Layer) -> NDArray[np.float64]:
    """Magnitudes of the weights, the largest over height and width: all that the rounds look at."""
    weights = np.abs(graph.constant(layer.weights).astype(np.float64))
    return weights.max(axis=(1, 2), keepdims=True) if weights.ndim == 4 else weights


def _along(factor: NDArray[np.float64], layer: Layer, graph: FloatGraph) -> NDArray[np.float64]:
    rest = (1,) * (len(graph.tensors[layer.weights].shape) - 1)
    return factor.reshape((*rest, -1) if layer.channel_axis == 3 else (-1, *rest))
