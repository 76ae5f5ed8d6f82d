"""What rules on `.tflite` files read them with."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import NO_TENSOR, Operator, read_tflite
from edge_cnn.device.tflite.tensor import Tensor

LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Operators whose second input is their weights; TRANSPOSE_CONV has a shape first."""


def operators(artifact: Artifact) -> Iterator[tuple[Operator, list[Tensor]]]:
    """Each operator with the tensors that it reads and writes, in the order of execution."""
    for graph in read_tflite(artifact).subgraphs:
        for operator in graph.operators:
            indices = (*operator.inputs, *operator.outputs)
            yield operator, [graph.tensors[i] for i in indices if i != NO_TENSOR]


def outputs(artifact: Artifact, operator: Operator) -> list[Tensor]:
    """The tensors that an operator of the main graph writes."""
    tensors = read_tflite(artifact).main.tensors
    return [tensors[i] for i in operator.outputs]


def constants(artifact: Artifact) -> list[Tensor]:
    """Tensors of the main graph whose values lie in the file."""
    model = read_tflite(artifact)
    return [tensor for tensor in model.main.tensors if model.constant(tensor) is not None]


def graph_ends(artifact: Artifact) -> list[Tensor]:
    """The graph's inputs and outputs."""
    graph = read_tflite(artifact).main
    return [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]


def weights(artifact: Artifact) -> list[tuple[Operator, Tensor]]:
    """Each layer of the main graph with its weights."""
    graph = read_tflite(artifact).main
    return [(op, graph.tensors[op.inputs[1]]) for op in graph.operators if op.name in LAYERS]


def float_free(artifact: Artifact, allowed: Collection[str], excepted: Collection[str]) -> list[str]:
    """Tensors of other types than `allowed` that operators touch, beyond those in `excepted`, each once."""
    found = {
        tensor.index: f"{tensor.name} of type {tensor.dtype}"
        for operator, tensors in operators(artifact)
        if operator.name not in excepted
        for tensor in tensors
        if tensor.dtype not in allowed
    }
    return [found[index] for index in sorted(found)]


def foreign_operators(artifact: Artifact, known: Collection[str]) -> list[str]:
    """Names of the operators that are not among `known`, each once."""
    return [name for name in dict.fromkeys(op.name for op, _ in operators(artifact)) if name not in known]
