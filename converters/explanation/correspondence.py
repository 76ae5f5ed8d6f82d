"""Which operator of the quantized file is which operator of the float one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.explanation.quantized_model import QuantizedModel, QuantizedOperator
from converters.float_graph.float_graph import FloatGraph, Layer, Operator
from edge_cnn.core.errors import ModelError

_ALIKE = 0.9
"""Cosine between the weights of two layers above which they are the same one, wherever they stand."""

_MOVES_VALUES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "STRIDED_SLICE", "SPLIT"})
"""Their output has the codes of their input, so they cost nothing of their own."""

_AS_MEAN = {"AVERAGE_POOL_2D": "MEAN"}

_ADVICE = "; give the float model that the quantized file was made from"


@dataclass(frozen=True)
class Pair:
    """An operator in both files.

    Attributes:
        reference: in the float graph.
        layer: the same as a layer, None where it has no weights.
        quantized: its place in `QuantizedModel.operators`.
    """

    reference: Operator
    layer: Layer | None
    quantized: int


@dataclass(frozen=True)
class Correspondence:
    """All operators that both files have.

    Attributes:
        pairs: in the float graph's order.
        by_name: whether the layers have the same names in both files; else they were told by weights and order.
    """

    pairs: tuple[Pair, ...]
    by_name: bool


def correspond(graph: FloatGraph, model: QuantizedModel) -> Correspondence:
    """Pair the operators: layers by name where all names agree, else by weights and order; the others likewise.

    Raises:
        ModelError: the files do not have the same layers.
    """
    layers = {layer.operator.index: layer for layer in graph.layers}
    quantized = [i for i, o in enumerate(model.operators) if o.weight_shape is not None]
    names = {model.operators[i].name: i for i in quantized}
    by_name = len(names) == len(layers) and all(
        layer.name in names and model.operators[names[layer.name]].weight_shape == _shape(graph, layer)
        for layer in layers.values()
    )
    if by_name:
        found = {index: names[layer.name] for index, layer in layers.items()}
    else:
        found = _by_weights(graph, list(layers.values()), model.operators, quantized)
    taken = set(found.values())
    found |= _without_weights(graph, model.operators, set(layers), taken)
    pairs = [
        Pair(o, layers.get(o.index), found[o.index])
        for o in graph.operators
        if o.index in found and o.op not in _MOVES_VALUES
    ]
    return Correspondence(tuple(pairs), by_name)


def _shape(graph: FloatGraph, layer: Layer) -> tuple[int, ...]:
    return tuple(graph.constant(layer.weights).shape)


def _by_weights(
    graph: FloatGraph, layers: Sequence[Layer], operators: Sequence[QuantizedOperator], places: Sequence[int]
) -> dict[int, int]:
    wanted = [(layer.operator.op, _shape(graph, layer)) for layer in layers]
    there = [(operators[i].op, operators[i].weight_shape) for i in places]
    for (op, shape), layer in zip(wanted, layers, strict=True):
        if there.count((op, shape)) != wanted.count((op, shape)):
            raise ModelError(
                f"the models do not correspond: the reference has {wanted.count((op, shape))} {op} with weights of "
                f"shape {shape} ({layer.name.split(';')[0]}), the quantized file {there.count((op, shape))}{_ADVICE}"
            )
    if len(there) != len(wanted):
        raise ModelError(
            f"the models do not correspond: the reference has {len(wanted)} layers with weights, the quantized file "
            f"{len(there)}{_ADVICE}"
        )
    found: dict[int, int] = {}
    for signature in dict.fromkeys(wanted):
        ours = [layer for layer, s in zip(layers, wanted, strict=True) if s == signature]
        theirs = [i for i, s in zip(places, there, strict=True) if s == signature]
        found |= _alike(graph, ours, operators, theirs)
    return found


def _alike(
    graph: FloatGraph, layers: Sequence[Layer], operators: Sequence[QuantizedOperator], places: Sequence[int]
) -> dict[int, int]:
    """Layers of one shape: those whose weights agree, the rest in order."""
    found: dict[int, int] = {}
    left = list(places)
    for layer in layers:
        if len(places) == 1:
            break
        similar = [_cosine(graph.constant(layer.weights), operators[i].weight_values) for i in left]
        if similar and max(similar) > _ALIKE:
            found[layer.operator.index] = left.pop(int(np.argmax(similar)))
    for layer in layers:
        if layer.operator.index not in found:
            found[layer.operator.index] = left.pop(0)
    return found


def _without_weights(
    graph: FloatGraph, operators: Sequence[QuantizedOperator], layers: set[int], taken: set[int]
) -> dict[int, int]:
    """Operators without weights: by name, else the first free one of the same kind and shape; some have no partner."""
    free = [i for i in range(len(operators)) if i not in taken and operators[i].weight_shape is None]
    found: dict[int, int] = {}
    for same in (_same_name, _same_kind):
        for operator in graph.operators:
            if operator.index in layers or operator.index in found:
                continue
            shape = graph.tensors[operator.outputs[0]].shape[1:]
            place = next((i for i in free if same(operator, shape, operators[i])), None)
            if place is not None:
                found[operator.index] = place
                free.remove(place)
    return found


def _same_name(operator: Operator, shape: tuple[int, ...], other: QuantizedOperator) -> bool:
    return other.op == operator.op and other.shape == shape and other.name == operator.name


def _same_kind(operator: Operator, shape: tuple[int, ...], other: QuantizedOperator) -> bool:
    # A mean over all places is written as either, with axes of length 1 or without them.
    ops = {_AS_MEAN.get(operator.op, operator.op), _AS_MEAN.get(other.op, other.op)}
    return len(ops) == 1 and [n for n in shape if n > 1] == [n for n in other.shape if n > 1]


def _cosine(a: NDArray[Any], b: NDArray[Any] | None) -> float:
    if b is None:
        return 0.0
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size > 0 else 0.0
