"""Names of operators, as users give them."""

from __future__ import annotations

from collections.abc import Collection

from converters.float_graph.float_graph import FloatGraph
from edge_cnn.core.errors import ModelError


def check_names(graph: FloatGraph, names: Collection[str]) -> None:
    """Raises: ModelError: a name is not in the graph."""
    unknown = sorted(set(names) - {operator.name for operator in graph.operators})
    if unknown:
        raise ModelError(f"there is no operator {unknown[0]!r} in the graph; 'edge-cnn explain' lists them")
