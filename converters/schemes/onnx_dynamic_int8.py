"""ONNX float32 -> ONNX with 8-bit weights; inputs of layers are rounded by the range of the moment.

The layers become ConvInteger and MatMulInteger. One range serves the whole batch, so a sample's
scores depend on the samples beside it; one at a time they do not.
"""

from __future__ import annotations

from collections.abc import Collection

from converters.converter_output import silent_step
from converters.schemes.onnx_quantizer import check_node_names, finished, inferred, quantized

_OPERATORS = ["Conv", "Gemm", "MatMul"]


def quantize_to_onnx_dynamic_int8(model: bytes, *, in_float: Collection[str] = ()) -> bytes:
    """Weights uint8, one scale for each tensor; no calibration samples are needed.

    Args:
        model: the bytes of a float model from `convert_to_onnx_float32`.
        in_float: names of nodes that stay float32.

    Raises:
        ModelError: a name is not in the graph.
    """
    check_node_names(model, in_float)
    with silent_step("quantizing to dynamic ONNX int8"):
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
        from onnxruntime.quantization.quant_utils import QuantizationMode

        with inferred(model) as proto:
            quantizer = ONNXQuantizer(
                proto,
                False,  # one scale a tensor
                False,  # the full range of codes
                QuantizationMode.IntegerOps,
                False,  # not static
                # ConvInteger's kernel takes uint8 weights only.
                QuantType.QUInt8,
                QuantType.QUInt8,
                None,
                [],
                sorted(in_float),
                _OPERATORS,
                {"MatMulConstBOnly": True},
            )
            result = quantized(quantizer)
        return finished(result)
