"""How large the `.tflite` file of a model will be, before there is one."""

from __future__ import annotations

from edge_cnn.host.budget.operations import OperationGraph

FLOAT32, INT8 = "float32", "int8"

_SCALE_BYTES = 4 + 8
"""A float32 scale and an int64 zero point, of each output channel of the weights and of each bias."""

_FILE = {INT8: 560, FLOAT32: 540}
_OPERATOR = {INT8: 190, FLOAT32: 165}
_WEIGHTS = {INT8: 205, FLOAT32: 170}
"""Bytes of what describes a file, an operator with its output, and its weights and biases: their names, shapes and the
tables that point to them. Fitted to exports of every architecture at two sizes of image; a name takes as many bytes as
it has letters, so a file with long names is larger."""


def file_bytes(graph: OperationGraph, scheme: str) -> int:
    """Estimate of the `.tflite` file, without the metadata that a bundle's file has beside it.

    Within 300 bytes of the exports of this project's architectures.

    Args:
        graph: of the model.
        scheme: "int8": int8 weights with a scale a channel and int32 biases; or "float32".
    """
    weighted = sum(operation.cost.weights > 0 for operation in graph.operations)
    described = _FILE[scheme] + _OPERATOR[scheme] * len(graph.operations) + _WEIGHTS[scheme] * weighted
    weights, biases = graph.total("weights"), graph.total("biases")
    if scheme == FLOAT32:
        return described + 4 * (weights + biases)
    return described + weights + 4 * biases + _SCALE_BYTES * (graph.total("channels") + biases)
