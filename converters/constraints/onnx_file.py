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


def producers(artifact: Artifact) -> dict[str, Any]:
    """Tensor name -> the node that writes it."""
    return {name: node for node in onnx_model(artifact).graph.node for name in node.output}


def node_name(node: Any) -> str:
    """What to call a node in a message; many have no name."""
    return node.name or f"the {node.op_type} of {node.output[0]}"
