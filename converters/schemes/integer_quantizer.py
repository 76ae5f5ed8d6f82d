"""TensorFlow's own quantizer on a float graph whose ranges are known: scales follow from the ranges alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph
from converters.schemes.layer_names import check_names
from edge_cnn.host.tensorflow_import import import_tensorflow


def quantize_to_int8(
    graph: FloatGraph,
    ranges: Mapping[int, tuple[float, float]],
    *,
    per_channel: bool = True,
    in_float: Collection[str] = (),
) -> bytes:
    """Weights and activations to int8, biases to int32 (TFLite 8-bit quantization specification).

    Args:
        graph: float32, BatchNorm folded.
        ranges: tensor index -> (low, high) of every activation; the scale is (high - low) / 255 with 0 inside.
        per_channel: a scale for each output channel of convolutions; otherwise one for a weight tensor.
        in_float: names of operators that stay float32, between DEQUANTIZE and QUANTIZE.

    Returns:
        A `.tflite`; without `in_float` its input and output are int8, with it they are float32.

    Raises:
        ModelError: the quantizer refuses, or a name is not in the graph.
    """
    check_names(graph, in_float)
    with silent_step("quantizing to TFLite int8"):
        import_tensorflow()
        from tensorflow.compiler.mlir.lite import types_pb2
        from tensorflow.lite.python.convert import mlir_quantize

        types: Any = types_pb2
        quantized: Any = mlir_quantize(
            graph.with_ranges(ranges).data,
            disable_per_channel=not per_channel,
            fully_quantize=not in_float,
            inference_type=types.QUANTIZED_INT8,
            denylisted_nodes=sorted(in_float),
        )
        return bytes(quantized)
