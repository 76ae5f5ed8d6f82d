"""Rules for every `.tflite`, and for full-integer ones."""

from __future__ import annotations

from converters.constraints.tflite_file import text, tflite_model, type_name
from edge_cnn.core.artifact import Artifact


def integer_in_and_out(artifact: Artifact) -> list[str]:
    """Input and output of the graph are int8."""
    from ai_edge_litert import schema_py_generated as schema

    graph = tflite_model(artifact).subgraphs[0]
    tensors = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    return [f"{text(t.name)} of type {type_name(t.type)}" for t in tensors if t.type != schema.TensorType.INT8]


def integer_operators(artifact: Artifact) -> list[str]:
    """Every operator reads and writes integers only."""
    from ai_edge_litert import schema_py_generated as schema

    allowed = {schema.TensorType.INT8, schema.TensorType.INT32}
    graph = tflite_model(artifact).subgraphs[0]
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    return [
        f"{text(graph.tensors[i].name)} of type {type_name(graph.tensors[i].type)}"
        for i in sorted(used)
        if graph.tensors[i].type not in allowed
    ]


def built_in_operators(artifact: Artifact) -> list[str]:
    """Every operator is built into the light runtimes: no Flex and no custom operator."""
    from ai_edge_litert import schema_py_generated as schema

    custom = schema.BuiltinOperator.CUSTOM
    return [
        text(code.customCode) or "a custom operator"
        for code in tflite_model(artifact).operatorCodes
        if max(code.builtinCode, code.deprecatedBuiltinCode) == custom
    ]
