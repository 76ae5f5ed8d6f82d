"""Rules of TensorRT's explicit quantization."""

from __future__ import annotations

from converters.constraints.onnx_file import constants, quantization_nodes
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
