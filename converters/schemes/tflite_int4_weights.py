"""Float model -> full-integer TFLite with int4 weights, two a byte; activations stay int8."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from converters.float_graph.float_graph import FloatGraph, Layer
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.schemes.layer_names import check_names
from converters.schemes.tflite_edit import TfliteEdit
from converters.schemes.weight_quantizer import quantize_weights, scale_axis
from edge_cnn.core.errors import ModelError
from edge_cnn.device.tflite.int4_codes import INT4_LIMIT, pack_int4

INT4_OPERATORS = frozenset({"CONV_2D", "FULLY_CONNECTED"})
"""Operators whose weights become int4. A DEPTHWISE_CONV_2D has few, and as int4 LiteRT's reference kernels refuse them.
"""


def quantize_to_int4_weights(
    graph: FloatGraph,
    ranges: Mapping[int, tuple[float, float]],
    *,
    in_int8: Collection[str] = (),
    in_float: Collection[str] = (),
) -> bytes:
    """Weights to int4 in [-7, 7], scale max|weight| / 7: one a channel of CONV_2D, one of FULLY_CONNECTED.

    Those of other layers become int8.

    Weights that are multiples of such a scale, as quantization-aware training leaves them, keep their codes exactly.

    Args:
        graph: float32, BatchNorm folded.
        ranges: tensor index -> (low, high) of every activation.
        in_int8: names of layers whose weights become int8.
        in_float: names of operators that stay float32.

    Returns:
        A `.tflite`; without `in_float` its input and output are int8, with it they are float32.

    Raises:
        ModelError: the quantizer refuses, or a name is not in the graph.
    """
    check_names(graph, in_int8)
    edit = TfliteEdit(quantize_to_int8(graph, ranges, in_float=in_float))
    places = {edit.tensors[int(o.outputs[0])].name: o for o in edit.operators}
    for layer in graph.layers:
        if layer.operator.op not in INT4_OPERATORS or layer.name in in_int8 or layer.name in in_float:
            continue
        operator = places.get(layer.name.encode())
        if operator is None or edit.type_of(int(operator.inputs[1])) != "int8":
            raise ModelError(
                f"layer {layer.name!r} did not become int8, so it cannot have int4 weights; export it as int8"
            )
        _narrow(edit, operator, graph, layer)
    return edit.finish()


def _narrow(edit: TfliteEdit, operator: Any, graph: FloatGraph, layer: Layer) -> None:
    weights = quantize_weights(graph.constant(layer.weights), scale_axis(layer, dense_per_channel=False), INT4_LIMIT)
    edit.set_constant(
        int(operator.inputs[1]),
        pack_int4(weights.codes),
        "int4",
        edit.quantization(weights.scales, axis=weights.axis),
    )
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return
    bias = np.zeros(weights.scales.size) if layer.bias is None else graph.constant(layer.bias).astype(np.float64)
    input_scale = np.float64(edit.tensors[int(operator.inputs[0])].quantization.scale[0])
    # A bias is worth what a product is (TFLite 8-bit specification).
    scales = (input_scale * weights.scales.astype(np.float64)).astype(np.float32)
    limits = np.iinfo(np.int32)
    codes = np.clip(np.rint(bias / scales.astype(np.float64)), limits.min, limits.max).astype(np.int32)
    edit.set_constant(int(operator.inputs[2]), codes, "int32", edit.quantization(scales))
