"""Rules for every `.onnx`."""

from __future__ import annotations

from converters.constraints.onnx_file import onnx_model
from edge_cnn.core.artifact import Artifact

NEWEST_OPSET = 17
_STANDARD = ("", "ai.onnx")


def standard_operators(artifact: Artifact) -> list[str]:
    """Every operator is of the standard ONNX set, opset 17 or older."""
    return _outside(artifact, _STANDARD)


def runtime_operators(artifact: Artifact) -> list[str]:
    """Every operator is of the standard ONNX set, opset 17 or older, or ONNX Runtime's own."""
    return _outside(artifact, (*_STANDARD, "com.microsoft"))


def no_input_transpose(artifact: Artifact) -> list[str]:
    """The graph takes its input in the layout of its first layer, without a Transpose."""
    graph = onnx_model(artifact).graph
    inputs = {entry.name for entry in graph.input}
    for node in graph.node:
        # Rounding does not change the layout: what follows it still reads the input.
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] in inputs:
            inputs.update(node.output)
    return [
        node.name or node.op_type
        for node in graph.node
        if node.op_type == "Transpose" and inputs.intersection(node.input)
    ]


def _outside(artifact: Artifact, domains: tuple[str, ...]) -> list[str]:
    model = onnx_model(artifact)
    sets = [f"domain {o.domain!r}" for o in model.opset_import if o.domain not in domains]
    sets += [f"opset {o.version}" for o in model.opset_import if o.domain in _STANDARD and o.version > NEWEST_OPSET]
    return sets + [f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in domains]
