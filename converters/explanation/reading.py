"""Which layers read a layer's output: what must stay in float together, so that a tensor between them is not coded."""

from __future__ import annotations

from collections.abc import Sequence

from converters.explanation.layer_facts import INPUT_OP
from converters.float_graph.float_graph import FloatGraph, Operator

_MOVES_VALUES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "MAX_POOL_2D"})


def float_groups(graph: FloatGraph, layers: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """For each layer the operators to leave in float so that neither its weights nor its output are coded.

    An operator in float still has its output coded where one in int8 reads it.

    Args:
        graph: float32.
        layers: (name, op) of each, the input among them.
    """
    by_name = {operator.name: operator for operator in graph.operators}
    groups: list[tuple[str, ...]] = []
    for name, op in layers:
        if op == INPUT_OP:
            groups.append(tuple(_readers(graph, graph.inputs[0])))
        elif name in by_name:
            operator = by_name[name]
            groups.append((name, *_readers(graph, operator.outputs[0])))
    return [group for group in groups if group]


def _readers(graph: FloatGraph, tensor: int) -> list[str]:
    found: list[str] = []
    for operator in graph.operators:
        if tensor in operator.inputs:
            found += [operator.name, *_onward(graph, operator)]
    return found


def _onward(graph: FloatGraph, operator: Operator) -> list[str]:
    """What reads the same values, moved, behind an operator that computes nothing."""
    return _readers(graph, operator.outputs[0]) if operator.op in _MOVES_VALUES else []
