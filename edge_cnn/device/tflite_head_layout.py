"""Find the last fully-connected layer of a `.tflite` graph and what follows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import NoHeadError
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.device.flatbuffer import damaged
from edge_cnn.device.tflite_file import NO_TENSOR, Operator, Subgraph, TfliteModel
from edge_cnn.device.tflite_schema import ACTIVATIONS, FULLY_CONNECTED_OPTIONS
from edge_cnn.device.tflite_tensor import Tensor

FULLY_CONNECTED = "FULLY_CONNECTED"
VALUE_KEEPING = ("RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE")
"""Operators whose output has the real values of their input."""

PROBABILITIES = ("SOFTMAX", "LOG_SOFTMAX")

_BIAS_DTYPES: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("float32", "float32", "float32"): ("float32",),
    ("float32", "int8", "float32"): ("float32",),
    ("int8", "int8", "int8"): ("int32",),
    ("uint8", "uint8", "uint8"): ("int32",),
    ("int16", "int8", "int16"): ("int32", "int64"),
}
"""(embedding, weights, logits) -> element types that the bias can have."""

_ITEM_BYTES = {"float32": 4, "int8": 1, "uint8": 1, "int32": 4, "int64": 8}
"""Size of the element types that weights and bias can have."""


@dataclass(frozen=True)
class HeadLayout:
    """The last layer and what follows it.

    Attributes:
        operator: the FULLY_CONNECTED.
        embedding: what it reads, (1, features) or a shape that it flattens to this.
        weights: constant (classes, features).
        bias: constant (classes,), None where the layer has none.
        logits: what it writes.
        tail: operators from the logits to the graph's output, in this order.
        same_values: the logits and what follows with the same real values: as long as no softmax lies between.
    """

    operator: Operator
    embedding: Tensor
    weights: Tensor
    bias: Tensor | None
    logits: Tensor
    tail: tuple[Operator, ...]
    same_values: tuple[Tensor, ...]

    @property
    def classes(self) -> int:
        return self.weights.shape[0]

    @property
    def features(self) -> int:
        return self.weights.shape[1]


def find_head(model: TfliteModel) -> HeadLayout:
    """Walk from the graph's output back to its last fully-connected layer.

    Raises:
        NoHeadError: there is none, or one of a kind that surgery does not know; the message says what there is.
        ModelError: the file is damaged.
    """
    graph = model.main
    operator, tail = _walk_back(graph)
    embedding, weights, bias, logits = _operands(model, graph, operator)
    layout = HeadLayout(operator, embedding, weights, bias, logits, tail, _same_values(graph, logits, tail))
    _check_options(layout)
    _check_shapes(layout)
    _check_types(layout)
    _check_quantization(layout)
    _check_readers(graph, layout)
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


def read_constant(model: TfliteModel, tensor: Tensor) -> NDArray[Any]:
    """The values of a constant in its shape, a view of the file; `find_head` has checked that they are there."""
    span = model.constant(tensor)
    assert span is not None
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    return np.frombuffer(model.data, dtype, math.prod(tensor.shape), span[0]).reshape(tensor.shape)


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
        if operator.name == FULLY_CONNECTED:
            return operator, tuple(reversed(tail))
        if operator.name not in VALUE_KEEPING + PROBABILITIES or not operator.inputs or operator.inputs[0] < 0:
            chain = " -> ".join([operator.name, *(op.name for op in reversed(tail))])
            raise NoHeadError(
                f"the graph ends with {chain} ({graph.tensors[tensor].name!r}), not with a FULLY_CONNECTED layer; "
                "give a model whose last layer is fully-connected (Dense)"
            )
        tail.append(operator)
        tensor = operator.inputs[0]
    raise NoHeadError(
        f"no FULLY_CONNECTED layer leads to the output, which comes from {graph.tensors[tensor].name!r}; "
        "give a model whose last layer is fully-connected (Dense)"
    )


def _operands(model: TfliteModel, graph: Subgraph, operator: Operator) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    inputs, outputs = operator.inputs, operator.outputs
    if len(inputs) not in (2, 3) or NO_TENSOR in inputs[:2] or len(outputs) != 1 or outputs[0] < 0:
        raise damaged(
            f"operator {operator.index}, FULLY_CONNECTED, has {len(inputs)} inputs and {len(outputs)} outputs"
        )
    embedding, weights, logits = (graph.tensors[i] for i in (*inputs[:2], outputs[0]))
    bias = graph.tensors[inputs[2]] if len(inputs) == 3 and inputs[2] != NO_TENSOR else None
    for tensor in filter(None, (weights, bias)):
        span = model.constant(tensor)
        if span is None or tensor.index in graph.producers or not tensor.is_plain:
            made_by = graph.producers.get(tensor.index)
            raise _unknown(
                logits, f"{tensor.name!r} is no plain constant" + (f", {made_by.name} makes it" if made_by else "")
            )
        if any(size <= 0 for size in tensor.shape):
            raise damaged(f"the constant {tensor.name!r} has shape {list(tensor.shape)}")
        if tensor.dtype not in _ITEM_BYTES:
            raise _unknown(
                logits, f"{tensor.name!r} is {tensor.dtype}; edge_cnn knows float32, 8-bit and 16x8-bit ones"
            )
        if span[1] - span[0] != math.prod(tensor.shape) * _ITEM_BYTES[tensor.dtype]:
            raise damaged(
                f"the constant {tensor.name!r} has shape {list(tensor.shape)} of {tensor.dtype}, but "
                f"{span[1] - span[0]} bytes"
            )
    return embedding, weights, bias, logits


def _same_values(graph: Subgraph, logits: Tensor, tail: tuple[Operator, ...]) -> tuple[Tensor, ...]:
    tensors = [logits]
    for operator in tail:
        if operator.name in PROBABILITIES:
            break
        tensors.append(graph.tensors[operator.outputs[0]])
    return tuple(tensors)


def _check_options(layout: HeadLayout) -> None:
    options = layout.operator.options(FULLY_CONNECTED_OPTIONS)
    if options is None:
        return
    activation, weights_format = options.scalar(0, "<b"), options.scalar(1, "<b")
    if activation:
        name = ACTIVATIONS[activation] if 0 < activation < len(ACTIVATIONS) else str(activation)
        raise _unknown(layout.logits, f"it has the activation {name}, a classifier's last layer has none")
    if weights_format:
        raise _unknown(layout.logits, "its weights are shuffled for a certain processor")


def _check_shapes(layout: HeadLayout) -> None:
    weights, bias = layout.weights, layout.bias
    if len(weights.shape) != 2 or (bias is not None and math.prod(bias.shape) != weights.shape[0]):
        shape = list(bias.shape) if bias is not None else None
        raise damaged(f"the last FULLY_CONNECTED has weights {list(weights.shape)} and bias {shape}")
    for tensor, width in ((layout.embedding, layout.features), (layout.logits, layout.classes)):
        if math.prod(tensor.shape[1:]) != width:
            raise _unknown(
                layout.logits,
                f"{tensor.name!r} of shape {list(tensor.shape)} has more than one vector of {width} values a sample",
            )


def _check_types(layout: HeadLayout) -> None:
    types = (layout.embedding.dtype, layout.weights.dtype, layout.logits.dtype)
    bias = layout.bias
    if types not in _BIAS_DTYPES or (bias is not None and bias.dtype not in _BIAS_DTYPES[types]):
        held = f"{types[0]} embeddings, {types[1]} weights, {bias.dtype if bias else 'no'} bias and {types[2]} logits"
        raise _unknown(layout.logits, f"it has {held}; edge_cnn knows float32, 8-bit and 16x8-bit ones")


def _check_quantization(layout: HeadLayout) -> None:
    weights = layout.weights
    if weights.quantization is not None and weights.quantization.has_details:
        raise _unknown(layout.logits, "its weights have another quantization than one scale a tensor or a class")
    for tensor in (layout.embedding, *layout.same_values):
        if tensor.dtype != "float32":
            _check_scales(tensor, tensor.params, 1)
    if weights.dtype != "float32":
        params = weights.params
        _check_scales(weights, params, layout.classes)
        if params is not None and params.axis not in (None, 0):
            raise damaged(f"the weights {weights.name!r} have one scale a slice of axis {params.axis}, not of axis 0")


def _check_scales(tensor: Tensor, params: QuantizationParams | None, count: int) -> None:
    if params is None or len(params.scales) not in (1, count):
        held = len(params.scales) if params else 0
        raise damaged(f"{tensor.name!r} is {tensor.dtype} with {held} scales")
    if not all(math.isfinite(s) and s > 0 for s in params.scales):
        raise damaged(f"{tensor.name!r} has a scale that is not a positive number")
    limits = np.iinfo(tensor.dtype)
    if not all(limits.min <= z <= limits.max for z in params.zero_points):
        raise damaged(f"{tensor.name!r} has a zero point that {tensor.dtype} cannot hold")


def _check_readers(graph: Subgraph, layout: HeadLayout) -> None:
    """What lies between the layer and the output must lead nowhere else."""
    chain = (layout.operator, *layout.tail)
    for operator, following in zip(chain, (*layout.tail, None), strict=True):
        for index in operator.outputs:
            others = [op.name for op in graph.consumers.get(index, []) if op is not following]
            if others:
                raise _unknown(layout.logits, f"{others[0]} reads {graph.tensors[index].name!r} besides the output")


def _unknown(logits: Tensor, why: str) -> NoHeadError:
    return NoHeadError(
        f"the graph ends with a FULLY_CONNECTED layer ({logits.name!r}) that cannot be tuned: {why}; "
        "export the model with a plain Dense layer at its end"
    )
