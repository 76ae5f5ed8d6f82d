"""ONNX float32 -> ONNX int8 as operators on codes: QLinearConv, QGemm, QLinearAdd, ..."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from converters.calibration.samples import Calibration
from converters.converter_output import silent_step
from converters.schemes.onnx_quantizer import check_node_names, finished, quantize_statically

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

        def make(proto: Any, common: list[Any]) -> Any:
            per_channel, narrow, static = True, False, True
            mode = QuantizationMode.QLinearOps
            weights, activations = QuantType.QInt8, QuantType.QUInt8
            return ONNXQuantizer(proto, per_channel, narrow, mode, static, weights, activations, *common)

        result = quantize_statically(model, calibration, in_float, make)
        return finished(result, domains=[MICROSOFT])
