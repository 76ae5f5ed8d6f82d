"""Rules of TensorRT's explicit quantization."""

from __future__ import annotations

from typing import Any

from converters.constraints.onnx_file import constants, node_name, onnx_model, producers, quantization_nodes
from edge_cnn.core.artifact import Artifact


def zero_points_are_zero(artifact: Artifact) -> list[str]:
    """Quantization is symmetric int8, every zero point 0 (TensorRT explicit quantization)."""
    import numpy as np

    found: list[str] = []
    initializers = constants(artifact)
    for node in quantization_nodes(artifact):
        zero_point = initializers.get(node.input[2]) if len(node.input) > 2 else None
        if zero_point is not None and zero_point.dtype == np.int32:
            continue  # a bias, which has a rule of its own
        if zero_point is None:
            # The type defaults to uint8 where the zero point is left out.
            found.append(f"{node.name} without an int8 zero point")
        elif zero_point.dtype != np.int8:
            found.append(f"{node.name} of type {zero_point.dtype}")
        elif np.any(zero_point):
            found.append(f"{node.name} with zero point {zero_point.ravel()[np.flatnonzero(zero_point)[0]]}")
    return found


def weights_within_127(artifact: Artifact) -> list[str]:
    """Quantized weights lie in [-127, 127] (symmetric range, TensorRT)."""
    import numpy as np

    weights = {name: codes for name, codes in constants(artifact).items() if codes.dtype == np.int8}
    return [
        f"{node.input[0]} with -128"
        for node in quantization_nodes(artifact)
        if node.input[0] in weights and weights[node.input[0]].min(initial=0) < -127
    ]


def bias_in_float(artifact: Artifact) -> list[str]:
    """No DequantizeLinear reads int32: a bias is float (TensorRT's importer)."""
    import numpy as np

    initializers = constants(artifact)
    return [
        node.name
        for node in quantization_nodes(artifact)
        if node.input[0] in initializers and initializers[node.input[0]].dtype == np.int32
    ]


def layers_between_pairs(artifact: Artifact) -> list[str]:
    """A DequantizeLinear stands before samples and weights of every Conv, Gemm and MatMul (TensorRT)."""
    made_by = producers(artifact)
    return [
        node_name(node)
        for node in onnx_model(artifact).graph.node
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
        and not all(_is_dequantized(made_by, name) for name in node.input[:2])
    ]


def residual_adds_between_pairs(artifact: Artifact) -> list[str]:
    """A DequantizeLinear stands before both inputs of every residual Add (TensorRT)."""
    held, made_by = constants(artifact), producers(artifact)
    return [
        node_name(node)
        for node in onnx_model(artifact).graph.node
        if node.op_type == "Add"
        and not any(name in held for name in node.input)
        and not all(_is_dequantized(made_by, name) for name in node.input)
    ]


def _is_dequantized(made_by: dict[str, Any], name: str) -> bool:
    return name in made_by and made_by[name].op_type == "DequantizeLinear"
