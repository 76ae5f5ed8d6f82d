"""ONNX float32 -> ONNX int8 as operators on codes: QLinearConv, QGemm, QLinearAdd, ..."""

from __future__ import annotations

from collections.abc import Collection

from converters.calibration.samples import Calibration
from converters.converter_output import silent_step
from converters.schemes.onnx_quantizer import (
    check_node_names,
    finished,
    inferred,
    operators_to_quantize,
    quantized,
    tensors_data,
)
from converters.schemes.onnx_ranges import onnx_ranges_of

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators: QGemm, QLinearAdd, ... are not of the standard."""


def quantize_to_qoperator_int8(model: bytes, calibration: Calibration, *, in_float: Collection[str] = ()) -> bytes:
    """Smaller than QDQ by its nodes, for ONNX Runtime's CPU kernels alone; uint8 activations, int8 weights.

    Args:
        model: the bytes of a float model from `convert_to_onnx_float32`.
        calibration: samples that set the ranges.
        in_float: names of nodes that stay float32.

    Raises:
        ModelError: a name is not in the graph.
    """
    check_node_names(model, in_float)
    with silent_step("quantizing to ONNX operators on codes"):
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
        from onnxruntime.quantization.quant_utils import QuantizationMode

        with inferred(model) as proto:
            quantizer = ONNXQuantizer(
                proto,
                True,  # per channel
                False,  # the full range of codes
                QuantizationMode.QLinearOps,
                True,  # static
                QuantType.QInt8,
                QuantType.QUInt8,
                tensors_data(onnx_ranges_of(model, calibration)),
                [],
                sorted(in_float),
                operators_to_quantize(model),
            )
            result = quantized(quantizer)
        return finished(result, domains=[MICROSOFT])
