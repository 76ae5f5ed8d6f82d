"""Rules for every `.tflite`, and for full-integer ones."""

from __future__ import annotations

from converters.constraints.tflite_graph import constants, float_free, graph_ends, operators
from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.schema import BUILTIN_OPERATORS

_NOT_BUILT_IN = ("CUSTOM", "DELEGATE")
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def integer_in_and_out(artifact: Artifact) -> list[str]:
    """Input and output of the graph are int8."""
    return [f"{t.name} of type {t.dtype}" for t in graph_ends(artifact) if t.dtype != "int8"]


def unsigned_in_and_out(artifact: Artifact) -> list[str]:
    """Input and output of the graph are uint8."""
    return [f"{t.name} of type {t.dtype}" for t in graph_ends(artifact) if t.dtype != "uint8"]


def float_in_and_out(artifact: Artifact) -> list[str]:
    """Input and output of the graph are float32."""
    return [f"{t.name} of type {t.dtype}" for t in graph_ends(artifact) if t.dtype != "float32"]


def integer_operators(artifact: Artifact) -> list[str]:
    """Every operator reads and writes integers only."""
    return float_free(artifact, {"int4", "int8", "int32"}, _CONVERSIONS)


def sixteen_bit_activations(artifact: Artifact) -> list[str]:
    """Every operator computes int16 activations from int16 activations and int8 weights."""
    held = {tensor.index for tensor in constants(artifact)}
    found: list[str] = []
    for operator, tensors in operators(artifact):
        if operator.name in _CONVERSIONS:
            continue
        allowed = {True: ("int8", "int16", "int32", "int64"), False: ("int16",)}
        found += [f"{t.name} of type {t.dtype}" for t in tensors if t.dtype not in allowed[t.index in held]]
    return list(dict.fromkeys(found))


def built_in_operators(artifact: Artifact) -> list[str]:
    """Every operator is built into the light runtimes: no Flex and no custom operator."""
    names = dict.fromkeys(operator.name for operator, _ in operators(artifact))
    return [name for name in names if name not in BUILTIN_OPERATORS or name in _NOT_BUILT_IN]


def fixed_shapes(artifact: Artifact) -> list[str]:
    """Every dimension but the batch is fixed in the file."""
    graph = read_tflite(artifact).main
    return [f"{t.name} of shape {list(t.shape_signature)}" for t in graph.tensors if -1 in t.shape_signature[1:]]
