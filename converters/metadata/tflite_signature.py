"""The signature of a `.tflite`: the names by which `get_signature_runner` and other tools call its ends."""

from __future__ import annotations

from typing import Any

SIGNATURE = "serving_default"
INPUT, OUTPUT = "input", "scores"
"""The names that our ONNX files use as well."""


def sign(model: Any) -> None:
    """Give a schema `ModelT` of one input and one output the signature `serving_default`, in place of what it has."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    signature: Any = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs = [_named(schema, INPUT, graph.inputs[0])]
    signature.outputs = [_named(schema, OUTPUT, graph.outputs[0])]
    model.signatureDefs = [signature]


def _named(schema: Any, name: str, index: int) -> Any:
    tensor = schema.TensorMapT()
    tensor.name, tensor.tensorIndex = name, int(index)
    return tensor
