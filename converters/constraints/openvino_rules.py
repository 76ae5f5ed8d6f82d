"""Rules of OpenVINO, which makes integer layers of what stands between QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from converters.constraints.onnx_file import node_name, onnx_model
from edge_cnn.core.artifact import Artifact


def quantized_in_pairs(artifact: Artifact) -> list[str]:
    """No layer is an operator on codes: integers stand between QuantizeLinear and DequantizeLinear (OpenVINO)."""
    return [
        node_name(node)
        for node in onnx_model(artifact).graph.node
        if node.op_type.startswith("QLinear") or node.op_type.endswith("Integer")
    ]
