"""ONNX float32 -> ONNX int8 as QuantizeLinear / DequantizeLinear pairs with per-channel int8 weights."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.samples import Calibration
from converters.converter_output import silent_step
from converters.schemes.onnx_cleanup import drop_dead
from converters.schemes.onnx_float32 import INPUT

_BATCH = 50

_IN_FLOAT = frozenset({"Softmax"})
"""Its output lies in [0, 1]; rounding probabilities to 255 steps would cost ties and win no time."""


def quantize_to_onnx_int8(model: bytes, calibration: Calibration, *, symmetric: bool) -> bytes:
    """Quantize a float model from `convert_to_onnx_float32`.

    Args:
        model: its bytes.
        calibration: samples that set the ranges (MinMax).
        symmetric: activations int8 with every zero point 0 and a float bias, as TensorRT's explicit quantization takes
            nothing else; otherwise activations uint8 and bias int32, which ONNX Runtime's CPU kernels run fastest.

    Raises:
        ModelError: the quantizer refuses the model.
    """
    with silent_step("quantizing to ONNX int8"):
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        proto = onnx.ModelProto.FromString(model)
        with tempfile.TemporaryDirectory() as folder:
            plain, quantized = Path(folder) / "plain.onnx", Path(folder) / "quantized.onnx"
            plain.write_bytes(model)
            quantize_static(
                plain,
                quantized,
                _reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=sorted({node.op_type for node in proto.graph.node} - _IN_FLOAT),
                calibrate_method=CalibrationMethod.MinMax,
                # The bias: TensorRT's importer takes no DequantizeLinear of int32.
                extra_options={"ActivationSymmetric": True, "QuantizeBias": False} if symmetric else {},
            )
            result = onnx.load(quantized)
        _join_relu(result)
        del result.opset_import[:]
        del result.metadata_props[:]
        result.opset_import.extend(proto.opset_import)
        onnx.checker.check_model(result, full_check=True)
        return result.SerializeToString(deterministic=True)


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


def _reader(calibration: Calibration) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    channels_first: NDArray[np.float32] = calibration.inputs
    if channels_first.ndim == 4:
        channels_first = np.ascontiguousarray(channels_first.transpose(0, 3, 1, 2))

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._starts = iter(range(0, len(channels_first), _BATCH))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            # The base class says dict and documents None for the end.
            start = next(self._starts, None)
            return None if start is None else {INPUT: channels_first[start : start + _BATCH]}

    return Reader()
