"""The range of every float activation of an `.onnx` over the calibration samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.samples import Calibration
from converters.schemes.onnx_float32 import INPUT

_BATCH = 50


def onnx_ranges_of(model: bytes, calibration: Calibration) -> dict[str, tuple[float, float]]:
    """Tensor name -> (low, high) of the input and of every float32 tensor that a node writes.

    Args:
        model: the bytes of a float model from `convert_to_onnx_float32`.
        calibration: samples and method.
    """
    ranges: dict[str, tuple[float, float]] = {}
    channels_first = np.ascontiguousarray(calibration.inputs.transpose(0, 3, 1, 2))
    names, session = _session_of_all(model)
    for start in range(0, len(channels_first), _BATCH):
        batch = channels_first[start : start + _BATCH]
        values: list[NDArray[Any]] = session.run(names, {INPUT: batch})
        for name, array in [(INPUT, batch), *zip(names, values, strict=True)]:
            if array.dtype == np.float32:
                low, high = float(array.min()), float(array.max())
                old = ranges.get(name, (low, high))
                ranges[name] = (min(low, old[0]), max(high, old[1]))
    return ranges


def _session_of_all(model: bytes) -> tuple[list[str], Any]:
    """Every tensor that a node writes, and a session that gives them."""
    import onnx
    import onnxruntime

    probe = onnx.ModelProto.FromString(model)
    names = [name for node in probe.graph.node for name in node.output if name]
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    # Fusing would remove the very tensors that are asked for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return names, onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
