"""ONNX float32 -> ONNX int8 as QuantizeLinear / DequantizeLinear pairs with per-channel int8 weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from converters.calibration.samples import Calibration
from converters.converter_output import silent_step
from converters.schemes.onnx_cleanup import drop_dead
from converters.schemes.onnx_quantizer import check_node_names, finished, quantize_statically


def quantize_to_onnx_int8(
    model: bytes,
    calibration: Calibration,
    *,
    symmetric: bool = False,
    signed: bool = False,
    in_float: Collection[str] = (),
) -> bytes:
    """Quantize a float model from `convert_to_onnx_float32`.

    Args:
        model: its bytes.
        calibration: samples that set the ranges.
        symmetric: activations int8 with every zero point 0 and a float bias, as TensorRT's explicit quantization takes
            nothing else.
        signed: activations int8 with zero points of their own; otherwise uint8, which ONNX Runtime's CPU kernels run
            fastest.
        in_float: names of nodes that stay float32.

    Raises:
        ModelError: a name is not in the graph.
    """
    check_node_names(model, in_float)
    with silent_step("quantizing to ONNX int8"):
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        def make(proto: Any, common: list[Any]) -> Any:
            per_channel, narrow = True, False
            activations = QuantType.QInt8 if symmetric or signed else QuantType.QUInt8
            # The bias: TensorRT's importer takes no DequantizeLinear of int32.
            options: dict[str, bool] = {"ActivationSymmetric": True, "QuantizeBias": False} if symmetric else {}
            weights = QuantType.QInt8
            ranges, nodes, left_out, kinds = common
            return QDQQuantizer(
                proto, per_channel, narrow, weights, activations, ranges, nodes, left_out, kinds, options
            )

        result = quantize_statically(model, calibration, in_float, make)
        _join_relu(result)
        return finished(result)


def _join_relu(model: Any) -> None:
    """Drop the rounding between a layer and its ReLU or ReLU6; in place.

    With zero point 0 a ReLU is not part of the rounding, so the quantizer leaves one pair of nodes before and one after
    it. The first would waste the sign bit's half of the range and keep the layer and its ReLU from being fused.
    """
    nodes = {output: node for node in model.graph.node for output in node.output}
    readers: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    for node in model.graph.node:
        if node.op_type not in ("Relu", "Clip"):
            continue
        dequantize = nodes.get(node.input[0])
        if dequantize is None or dequantize.op_type != "DequantizeLinear" or readers[node.input[0]] > 1:
            continue
        quantize = nodes.get(dequantize.input[0])
        if quantize is None or quantize.op_type != "QuantizeLinear" or readers[dequantize.input[0]] > 1:
            continue
        node.input[0] = quantize.input[0]
    drop_dead(model)
