"""The range of every float activation of an `.onnx` over the calibration samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.range_estimator import Range, RangeEstimator
from converters.calibration.samples import Calibration
from converters.calibration.table import new_estimator
from converters.schemes.onnx_float32 import INPUT
from edge_cnn.core.errors import ModelError

_BATCH = 50


def onnx_ranges_of(model: bytes, calibration: Calibration) -> dict[str, Range]:
    """Tensor name -> (low, high) of the input and of every float32 tensor that a node writes.

    Args:
        model: the bytes of a float model from `convert_to_onnx_float32`.
        calibration: samples and method; the estimators are those of `.tflite` files.

    Raises:
        InputError: no such method.
        ModelError: an activation is NaN or infinite; its tensor is named.
    """
    inputs = calibration.inputs
    if inputs.ndim == 4:
        inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    estimators: dict[str, RangeEstimator] = {}
    names, session = _session_of_all(model)
    for start in range(0, len(inputs), _BATCH):
        batch = inputs[start : start + _BATCH]
        values: list[NDArray[Any]] = session.run(names, {INPUT: batch})
        for name, array in [(INPUT, batch), *zip(names, values, strict=True)]:
            if array.dtype != np.float32:
                continue
            estimator = estimators.setdefault(name, new_estimator(calibration.method))
            try:
                estimator.update(array)
            except ModelError as error:
                raise ModelError(f"tensor {name!r}: {error}") from error
    return {name: estimator.range() for name, estimator in estimators.items()}


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
