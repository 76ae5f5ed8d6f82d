"""Float model -> TFLite with int8 weights and float activations: computed hybrid, or widened to float first."""

from __future__ import annotations

from collections.abc import Collection

from converters.float_graph.float_graph import FloatGraph, Layer
from converters.schemes.layer_names import check_names
from converters.schemes.tflite_edit import TfliteEdit
from converters.schemes.weight_quantizer import INT8_LIMIT, quantize_weights, scale_axis

_HYBRID_OPERATORS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


def quantize_to_dynamic_int8(graph: FloatGraph, *, in_float: Collection[str] = ()) -> bytes:
    """int8 weights; each layer rounds its input to int8 by the range of the moment and gives float32 (hybrid kernels).

    FULLY_CONNECTED has one scale: kernels that know one a channel came with TensorFlow 2.17, and older ones would read
    the first for all.

    Args:
        graph: float32.
        in_float: names of operators that stay float32.

    Raises:
        ModelError: a name is not in the graph.
    """
    check_names(graph, in_float)
    edit = TfliteEdit(graph.data)
    for layer in _layers(graph, in_float):
        weights = quantize_weights(
            graph.constant(layer.weights), scale_axis(layer, dense_per_channel=False), INT8_LIMIT
        )
        edit.set_constant(layer.weights, weights.codes, "int8", edit.quantization(weights.scales, axis=weights.axis))
        options = edit.operators[layer.operator.index].builtinOptions
        if hasattr(options, "asymmetricQuantizeInputs"):
            # Symmetric inputs: FULLY_CONNECTED of version 3 knows no other, and weights of zero point 0 need none.
            options.asymmetricQuantizeInputs = False
    return edit.finish()


def quantize_weights_only(graph: FloatGraph, *, in_float: Collection[str] = ()) -> bytes:
    """int8 weights with a scale a channel, widened to float32 by a DEQUANTIZE; everything computes in float32.

    Args:
        graph: float32.
        in_float: names of operators whose weights stay float32.

    Raises:
        ModelError: a name is not in the graph.
    """
    check_names(graph, in_float)
    edit = TfliteEdit(graph.data)
    widened: list[tuple[int, int]] = []
    for layer in _layers(graph, in_float):
        weights = quantize_weights(graph.constant(layer.weights), scale_axis(layer, dense_per_channel=True), INT8_LIMIT)
        tensor = graph.tensors[layer.weights]
        narrow = edit.add_tensor(
            f"{tensor.name}_int8",
            tensor.shape,
            "int8",
            edit.quantization(weights.scales, axis=weights.axis),
            weights.codes,
        )
        edit.tensors[layer.weights].buffer = 0
        widened.append((narrow, layer.weights))
    for narrow, wide in reversed(widened):
        edit.add_operator(0, "DEQUANTIZE", [narrow], [wide])
    return edit.finish()


def _layers(graph: FloatGraph, in_float: Collection[str]) -> list[Layer]:
    """Those to quantize; weights that two layers share count once."""
    kept = {layer.weights for layer in graph.layers if layer.name in in_float}
    found = {
        layer.weights: layer
        for layer in graph.layers
        if layer.operator.op in _HYBRID_OPERATORS and layer.weights not in kept
    }
    return list(found.values())
