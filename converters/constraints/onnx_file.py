"""What rules on `.onnx` files read them with."""

from __future__ import annotations

from typing import Any

from edge_cnn.core.artifact import Artifact


def onnx_model(artifact: Artifact) -> Any:
    """The file as a `ModelProto`."""
    import onnx

    return onnx.ModelProto.FromString(artifact.data)


def constants(artifact: Artifact) -> dict[str, Any]:
    """Name -> array of each initializer."""
    import onnx

    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx_model(artifact).graph.initializer}


def quantization_nodes(artifact: Artifact) -> list[Any]:
    """QuantizeLinear and DequantizeLinear, in the graph's order."""
    return [n for n in onnx_model(artifact).graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
