"""A reference scaled as the quantized file is: equalization changes weights and leaves the function.

Where a file was made from an equalized model, each channel of a layer is a multiple of the reference's, and what reads
it is divided by as much. The same factors, applied to the reference, make the two comparable again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.explanation.correspondence import Correspondence
from converters.explanation.quantized_model import QuantizedModel
from converters.float_graph.float_graph import FloatGraph, Layer
from converters.improvement.layer_pairs import find_pairs
from converters.improvement.own_constants import with_own_constants

_SAME_DIRECTION = 0.98
_FEWER = 2
"""Scaling one layer alone is a fault; equalization scales two at least."""


def scaled_like(graph: FloatGraph, model: QuantizedModel, pairs: Correspondence) -> FloatGraph:
    """The graph with channels scaled as the file's are, if that makes more layers agree; else the graph itself.

    Args:
        graph: the reference.
        model: the quantized file.
        pairs: operators of both.
    """
    values = {pair.reference.index: model.operators[pair.quantized].weight_values for pair in pairs.pairs if pair.layer}
    before = _disagreeing(graph, values)
    if before < _FEWER:
        return graph
    scaled = with_own_constants(graph)
    weights = {layer.weights: scaled.constant(layer.weights).astype(np.float64) for layer in scaled.layers}
    biases = {i.bias: scaled.constant(i.bias).astype(np.float64) for i in scaled.layers if i.bias is not None}
    neighbours, _ = find_pairs(scaled)
    for pair in sorted(neighbours, key=lambda pair: pair.first.operator.index):
        got = values.get(pair.first.operator.index)
        if got is None:
            continue
        factor = _factors(weights[pair.first.weights], got, pair.first)
        shape = [1] * weights[pair.first.weights].ndim
        shape[pair.first.channel_axis] = -1
        weights[pair.first.weights] = weights[pair.first.weights] * factor.reshape(shape)
        if pair.first.bias is not None:
            biases[pair.first.bias] = biases[pair.first.bias] * factor
        weights[pair.second.weights] = weights[pair.second.weights] / factor[pair.owners]
    scaled = scaled.with_constants({i: value.astype(np.float32) for i, value in (weights | biases).items()})
    return scaled if _disagreeing(scaled, values) <= before - _FEWER else graph


def _factors(wanted: NDArray[np.float64], got: NDArray[np.float32], layer: Layer) -> NDArray[np.float64]:
    """By how much each channel of the file is larger; 1 where it is no multiple of the reference's."""
    a, b = _rows(wanted, layer), _rows(got.astype(np.float64), layer)
    power = (a * a).sum(axis=1)
    factor = (a * b).sum(axis=1) / np.maximum(power, 1e-30)
    cosine = (a * b).sum(axis=1) / np.maximum(np.sqrt(power * (b * b).sum(axis=1)), 1e-30)
    return np.where((cosine > _SAME_DIRECTION) & (factor > 0), factor, 1.0)


def _disagreeing(graph: FloatGraph, values: dict[int, NDArray[np.float32] | None]) -> int:
    """How many layers have weights of another size or direction than the file's."""
    count = 0
    for layer in graph.layers:
        got = values.get(layer.operator.index)
        if got is None:
            continue
        a, b = _rows(graph.constant(layer.weights).astype(np.float64), layer), _rows(got.astype(np.float64), layer)
        count += bool(np.linalg.norm(a - b) > 0.1 * np.linalg.norm(a))
    return count


def _rows(values: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    return np.moveaxis(values, layer.channel_axis, 0).reshape(values.shape[layer.channel_axis], -1)
