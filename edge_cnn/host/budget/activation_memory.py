"""How much of a model's activations must be in memory at one time."""

from __future__ import annotations

from edge_cnn.host.budget.operations import OperationGraph


def peak_elements(graph: OperationGraph) -> int:
    """The largest sum of live tensors over all steps, in elements: bytes for int8, a quarter of the bytes for float32.

    A tensor lives from the operator that writes it to the last one that reads it; inputs from the start, outputs to
    the end. No interpreter needs less; one needs more for structures of its own, alignment and scratch memory.
    """
    first = dict.fromkeys(graph.inputs, 0)
    last = dict(first)
    for step, operation in enumerate(graph.operations):
        for tensor in (*operation.inputs, *operation.outputs):
            first.setdefault(tensor, step)
            last[tensor] = step
    for tensor in graph.outputs:
        last[tensor] = len(graph.operations)
    return max(
        sum(graph.elements[tensor] for tensor in first if first[tensor] <= step <= last[tensor])
        for step in range(len(graph.operations) + 1)
    )
