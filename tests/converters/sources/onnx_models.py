"""Small ONNX models for tests, made node by node, and ONNX Runtime as what judges them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def onnx_model(
    nodes: list[Any],
    shape: tuple[Any, ...],
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
) -> Any:
    """A model from "x" of `shape`, whose first axis may be a name, to "y"."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        tensors,
    )
    for value in graph.output:
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write(model: Any, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def run_onnx(model: Any, inputs: np.ndarray) -> np.ndarray:
    """The output that ONNX Runtime computes without its own optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: inputs})[0])


def classifier(**changes: Any) -> Any:
    """Conv, Relu, GlobalAveragePool, Flatten and Gemm on images of 3 channels, 9 rows and 8 columns, 4 classes."""
    rng = np.random.default_rng(3)
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], "stem", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "act"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w", "v"], ["y"], "head"),
    ]
    constants = {
        "k": rng.normal(size=(5, 3, 3, 3)).astype(np.float32),
        "b": rng.normal(size=5).astype(np.float32),
        "w": rng.normal(size=(5, 4)).astype(np.float32),
        "v": rng.normal(size=4).astype(np.float32),
    }
    return onnx_model(nodes, ("n", 3, 9, 8), constants, **changes)


__all__ = ["classifier", "helper", "onnx", "onnx_model", "run_onnx", "write"]
