"""Find the last fully-connected layer of a `.tflite` graph and what follows it."""

from __future__ import annotations

import math

from edge_cnn.core.errors import NoHeadError
from edge_cnn.device.tflite.file import NO_TENSOR, Operator, Subgraph, TfliteModel
from edge_cnn.device.tflite.flatbuffer import damaged
from edge_cnn.device.tflite.head_checks import check_head, unknown_head
from edge_cnn.device.tflite.head_layout import FLOATS, LAYERS, PROBABILITIES, HeadLayout, stored_bytes
from edge_cnn.device.tflite.tensor import Tensor

VALUE_KEEPING = ("RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE")
"""Operators whose output has the real values of their input."""

_WANTED = "give a model whose last layer is fully-connected: Dense, or a 1x1 convolution of one vector a sample"


def find_head(model: TfliteModel) -> HeadLayout:
    """Walk from the graph's output back to its last FULLY_CONNECTED or 1x1 CONV_2D.

    Raises:
        NoHeadError: there is none, or one of a kind that surgery does not know; the message says what there is.
        ModelError: the file is damaged.
    """
    graph = model.main
    operator, tail = _walk_back(graph)
    inputs, outputs = operator.inputs, operator.outputs
    if len(inputs) not in (2, 3) or NO_TENSOR in inputs[:2] or len(outputs) != 1 or outputs[0] < 0:
        raise damaged(
            f"operator {operator.index}, {operator.name}, has {len(inputs)} inputs and {len(outputs)} outputs"
        )
    embedding, logits = graph.tensors[inputs[0]], graph.tensors[outputs[0]]
    widening: list[Operator] = []
    weights = _constant(model, operator, inputs[1], logits, widening)
    bias = None
    if len(inputs) == 3 and inputs[2] != NO_TENSOR:
        bias = _constant(model, operator, inputs[2], logits, widening)
    layout = HeadLayout(
        operator,
        embedding,
        weights,
        bias,
        tuple(widening),
        logits,
        tail,
        _shape_operators(graph, (operator, *tail)),
        _same_values(graph, logits, tail),
    )
    check_head(graph, layout)
    return layout


def ends_with_softmax(model: TfliteModel) -> bool:
    """Whether the graph's only output is a probability a class."""
    graph = model.main
    tensor = graph.outputs[0] if len(graph.outputs) == 1 else NO_TENSOR
    for _ in graph.operators:
        operator = graph.producers.get(tensor)
        if operator is None or operator.name not in VALUE_KEEPING or not operator.inputs:
            break
        tensor = operator.inputs[0]
    operator = graph.producers.get(tensor)
    return operator is not None and operator.name == "SOFTMAX"


def _walk_back(graph: Subgraph) -> tuple[Operator, tuple[Operator, ...]]:
    if len(graph.outputs) != 1:
        raise NoHeadError(
            f"the graph has {len(graph.outputs)} outputs, a classifier has one; export one with one output"
        )
    tail: list[Operator] = []
    tensor = graph.outputs[0]
    # As many steps as operators, so that a damaged graph with a cycle ends as well.
    for _ in graph.operators:
        operator = graph.producers.get(tensor)
        if operator is None:
            break
        if operator.name in LAYERS:
            return operator, tuple(reversed(tail))
        if operator.name not in VALUE_KEEPING + PROBABILITIES or not operator.inputs or operator.inputs[0] < 0:
            chain = " -> ".join([operator.name, *(op.name for op in reversed(tail))])
            raise NoHeadError(
                f"the graph ends with {chain} ({graph.tensors[tensor].name!r}), not with a FULLY_CONNECTED or 1x1 "
                f"CONV_2D layer; {_WANTED}"
            )
        tail.append(operator)
        tensor = operator.inputs[0]
    raise NoHeadError(
        f"no FULLY_CONNECTED or CONV_2D layer leads to the output, which comes from {graph.tensors[tensor].name!r}; "
        f"{_WANTED}"
    )


def _constant(model: TfliteModel, layer: Operator, index: int, logits: Tensor, widening: list[Operator]) -> Tensor:
    """The stored tensor behind an input of the layer; a DEQUANTIZE between the two is added to `widening`."""
    graph = model.main
    tensor = graph.tensors[index]
    made_by = graph.producers.get(index)
    if made_by is not None and made_by.name == "DEQUANTIZE" and made_by.inputs and made_by.inputs[0] >= 0:
        tensor = graph.tensors[made_by.inputs[0]]
        widening.append(made_by)
        made_by = graph.producers.get(tensor.index)
    span = model.constant(tensor)
    if span is None or made_by is not None or not tensor.is_plain:
        raise unknown_head(
            layer, logits, f"{tensor.name!r} is no plain constant" + (f", {made_by.name} makes it" if made_by else "")
        )
    if any(size <= 0 for size in tensor.shape):
        raise damaged(f"the constant {tensor.name!r} has shape {list(tensor.shape)}")
    size = stored_bytes(tensor.dtype, math.prod(tensor.shape))
    if size is None:
        raise unknown_head(
            layer, logits, f"{tensor.name!r} is {tensor.dtype}; edge_cnn knows float, 8-bit, 16x8-bit and int4 ones"
        )
    if span[1] - span[0] != size:
        raise damaged(
            f"the constant {tensor.name!r} has shape {list(tensor.shape)} of {tensor.dtype}, but "
            f"{span[1] - span[0]} bytes"
        )
    widened = tensor.index != index
    if (tensor.dtype == "float16") > widened or (widened and graph.tensors[index].dtype not in FLOATS):
        raise damaged(f"{layer.name} {logits.name!r} cannot compute with {tensor.name!r}, which is {tensor.dtype}")
    return tensor


def _shape_operators(graph: Subgraph, chain: tuple[Operator, ...]) -> tuple[Operator, ...]:
    """Every SHAPE of a tensor of the chain and what comes of it, up to the chain itself.

    Converters write a reshape of a dynamic batch as RESHAPE(x, PACK(STRIDED_SLICE(SHAPE(x)), classes)).
    """
    members = {operator.index for operator in chain}
    found: dict[int, Operator] = {}
    waiting = [
        reader
        for operator in chain
        for tensor in operator.outputs
        for reader in graph.consumers.get(tensor, [])
        if reader.name == "SHAPE"
    ]
    while waiting:
        operator = waiting.pop()
        if operator.index in members or operator.index in found:
            continue
        found[operator.index] = operator
        waiting += [reader for tensor in operator.outputs for reader in graph.consumers.get(tensor, [])]
    return tuple(found[index] for index in sorted(found))


def _same_values(graph: Subgraph, logits: Tensor, tail: tuple[Operator, ...]) -> tuple[Tensor, ...]:
    tensors = [logits]
    for operator in tail:
        if operator.name in PROBABILITIES:
            break
        tensors.append(graph.tensors[operator.outputs[0]])
    return tuple(tensors)
