"""Which tensors of an int8 file have the same scale, and which have one that is fixed (TFLite 8-bit specification)."""

from __future__ import annotations

from converters.float_graph.float_graph import FloatGraph

FIXED_RANGES = {
    "SOFTMAX": (0.0, 255 / 256),
    "LOGISTIC": (0.0, 255 / 256),
    "TANH": (-1.0, 127 / 128),
    "L2_NORMALIZATION": (-1.0, 127 / 128),
}
"""Operator -> the range of its output: scale 1/256 with zero point -128, or 1/128 with zero point 0."""

SAME_SCALE = frozenset(
    {
        "AVERAGE_POOL_2D",
        "MAX_POOL_2D",
        "RESHAPE",
        "SQUEEZE",
        "EXPAND_DIMS",
        "CONCATENATION",
        "PAD",
        "PADV2",
        "MIRROR_PAD",
        "TRANSPOSE",
        "TILE",
        "STRIDED_SLICE",
        "SLICE",
        "SPLIT",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "MAXIMUM",
        "MINIMUM",
        "REDUCE_MAX",
        "REDUCE_MIN",
    }
)
"""Operators that move or choose codes, so that their float inputs and outputs have one scale."""


def fixed_ranges(graph: FloatGraph) -> dict[int, tuple[float, float]]:
    """Tensor index -> range, of outputs whose operator fixes it, and of what moves the codes of such a one alone."""
    fixed: dict[int, tuple[float, float]] = {}
    for operator in graph.operators:
        entering = [i for i in operator.inputs if i in graph.activations]
        if operator.op in FIXED_RANGES:
            fixed |= dict.fromkeys(operator.outputs, FIXED_RANGES[operator.op])
        elif operator.op in SAME_SCALE and len(entering) == 1 and entering[0] in fixed:
            fixed |= dict.fromkeys(operator.outputs, fixed[entering[0]])
    return fixed


def scale_groups(graph: FloatGraph) -> dict[int, int]:
    """Activation -> the first one of those that share its scale, itself where none does."""
    fixed = fixed_ranges(graph)
    free = set(graph.activations) - set(fixed)
    groups = {index: index for index in graph.activations}
    for operator in graph.operators:
        if operator.op not in SAME_SCALE:
            continue
        members = [i for i in (*operator.inputs, *operator.outputs) if i in free]
        joined = {groups[i] for i in members}
        groups = {i: min(joined, key=graph.activations.index) if g in joined else g for i, g in groups.items()}
    return groups


def shared_ranges(graph: FloatGraph, ranges: dict[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Ranges as an int8 file has them: every tensor with the range of its whole group, or with the fixed one."""
    groups = scale_groups(graph)
    widest: dict[int, tuple[float, float]] = {}
    for index, group in groups.items():
        low, high = widest.get(group, (0.0, 0.0))
        widest[group] = (min(low, ranges[index][0]), max(high, ranges[index][1]))
    return {index: widest[group] for index, group in groups.items()} | fixed_ranges(graph)
