"""What must hold for the last layer of a `.tflite` graph to be tuned, each with the message for when it does not."""

from __future__ import annotations

import math

import numpy as np

from edge_cnn.core.errors import NoHeadError
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.device.tflite.file import Operator, Subgraph
from edge_cnn.device.tflite.flatbuffer import damaged
from edge_cnn.device.tflite.head_layout import CONVOLUTION, FLOATS, HeadLayout
from edge_cnn.device.tflite.schema import ACTIVATIONS, CONV_2D_OPTIONS, FULLY_CONNECTED_OPTIONS
from edge_cnn.device.tflite.tensor import Tensor

_BIAS_DTYPES: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("float32", "float32", "float32"): ("float32", "float16"),
    ("float32", "float16", "float32"): ("float32", "float16"),
    ("float32", "int8", "float32"): ("float32", "float16"),
    ("float32", "uint8", "float32"): ("float32", "float16"),
    ("int8", "int8", "int8"): ("int32",),
    ("int8", "int4", "int8"): ("int32",),
    ("uint8", "uint8", "uint8"): ("int32",),
    ("int16", "int8", "int16"): ("int32", "int64"),
}
"""(embedding, weights, logits) -> element types that the bias can have."""


def check_head(graph: Subgraph, layout: HeadLayout) -> None:
    """Refuse a last layer that surgery does not know.

    Raises:
        NoHeadError: it is no dense layer, or of another kind; the message says which.
        ModelError: the file contradicts itself.
    """
    _check_options(layout)
    _check_shapes(layout)
    _check_types(layout)
    _check_quantization(layout)
    _check_readers(graph, layout)


def unknown_head(operator: Operator, logits: Tensor, why: str) -> NoHeadError:
    """The error for a last layer that is there and cannot be tuned."""
    return NoHeadError(
        f"the graph ends with a {operator.name} layer ({logits.name!r}) that cannot be tuned: {why}; "
        "export the model with a plain Dense layer at its end"
    )


def _check_options(layout: HeadLayout) -> None:
    convolution = layout.operator.name == CONVOLUTION
    options = layout.operator.options(CONV_2D_OPTIONS if convolution else FULLY_CONNECTED_OPTIONS)
    if options is None:
        return
    activation = options.scalar(3 if convolution else 0, "<b")
    if activation:
        name = ACTIVATIONS[activation] if 0 < activation < len(ACTIVATIONS) else str(activation)
        raise _unknown(layout, f"it has the activation {name}, a classifier's last layer has none")
    if not convolution and options.scalar(1, "<b"):
        raise _unknown(layout, "its weights are shuffled for a certain processor")


def _check_shapes(layout: HeadLayout) -> None:
    weights, bias = layout.weights, layout.bias
    rank = 4 if layout.operator.name == CONVOLUTION else 2
    if len(weights.shape) != rank or (bias is not None and math.prod(bias.shape) != weights.shape[0]):
        shape = list(bias.shape) if bias is not None else None
        raise damaged(f"the last {layout.operator.name} has weights {list(weights.shape)} and bias {shape}")
    if weights.shape[1:-1] not in ((), (1, 1)):
        height, width = weights.shape[1:-1]
        raise _unknown(layout, f"its kernel is {height}x{width}, a dense layer's is 1x1")
    for tensor, width in ((layout.embedding, layout.features), (layout.logits, layout.classes)):
        if math.prod(tensor.shape[1:]) != width:
            raise _unknown(
                layout,
                f"{tensor.name!r} of shape {list(tensor.shape)} has more than one vector of {width} values a sample",
            )


def _check_types(layout: HeadLayout) -> None:
    types = (layout.embedding.dtype, layout.weights.dtype, layout.logits.dtype)
    bias = layout.bias
    unsigned_hybrid = types == ("float32", "uint8", "float32") and not layout.widening
    if types not in _BIAS_DTYPES or unsigned_hybrid or (bias is not None and bias.dtype not in _BIAS_DTYPES[types]):
        held = f"{types[0]} embeddings, {types[1]} weights, {bias.dtype if bias else 'no'} bias and {types[2]} logits"
        raise _unknown(layout, f"it has {held}; edge_cnn knows float, 8-bit, 16x8-bit and int4 ones")


def _check_quantization(layout: HeadLayout) -> None:
    weights = layout.weights
    if weights.quantization is not None and weights.quantization.has_details:
        raise _unknown(layout, "its weights have another quantization than one scale a tensor or a class")
    for tensor in (layout.embedding, *layout.same_values):
        if tensor.dtype != "float32":
            _check_scales(tensor, tensor.params, 1)
    if weights.dtype not in FLOATS:
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
    limits = (-8, 7) if tensor.dtype == "int4" else (np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max)
    if not all(limits[0] <= z <= limits[1] for z in params.zero_points):
        raise damaged(f"{tensor.name!r} has a zero point that {tensor.dtype} cannot hold")


def _check_readers(graph: Subgraph, layout: HeadLayout) -> None:
    """What lies between the layer and the output must lead nowhere else but into the shapes of the tail."""
    shape_operators = {operator.index for operator in layout.shape_operators}
    chain = (layout.operator, *layout.tail)
    for operator, following in zip(chain, (*layout.tail, None), strict=True):
        for index in operator.outputs:
            readers = [op for op in graph.consumers.get(index, []) if op.index not in shape_operators]
            others = [op.name for op in readers if op is not following]
            if others:
                raise _unknown(layout, f"{others[0]} reads {graph.tensors[index].name!r} besides the output")


def _unknown(layout: HeadLayout, why: str) -> NoHeadError:
    return unknown_head(layout.operator, layout.logits, why)
