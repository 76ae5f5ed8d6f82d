"""What targets demand of a model file: one function a constraint, whose docstring is its message and documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.targets import Target

_SHOWN = 3


@dataclass(frozen=True)
class Constraint:
    """A rule for the artifacts of some targets.

    Attributes:
        applies: whether the rule holds for a target's artifact of a scheme.
        find: artifact -> what breaks the rule, named; empty where it is kept.
    """

    applies: Callable[[Target, str], bool]
    find: Callable[[Artifact], list[str]]

    @property
    def message(self) -> str:
        """The rule in one line, the first of the function's docstring."""
        return (self.find.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def name(self) -> str:
        return self.find.__name__

    def violation(self, artifact: Artifact) -> str | None:
        """None, or one line: the rule and what breaks it."""
        found = self.find(artifact)
        if not found:
            return None
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return f"{artifact.name}: {self.message}; got {', '.join(found[:_SHOWN])}{more}"


def integer_in_and_out(artifact: Artifact) -> list[str]:
    """Input and output of the graph are int8."""
    from ai_edge_litert import schema_py_generated as schema

    graph = _tflite(artifact).subgraphs[0]
    tensors = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    return [f"{_text(t.name)} of type {_type_name(t.type)}" for t in tensors if t.type != schema.TensorType.INT8]


def integer_operators(artifact: Artifact) -> list[str]:
    """Every operator reads and writes integers only."""
    from ai_edge_litert import schema_py_generated as schema

    allowed = {schema.TensorType.INT8, schema.TensorType.INT32}
    graph = _tflite(artifact).subgraphs[0]
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    return [
        f"{_text(graph.tensors[i].name)} of type {_type_name(graph.tensors[i].type)}"
        for i in sorted(used)
        if graph.tensors[i].type not in allowed
    ]


def built_in_operators(artifact: Artifact) -> list[str]:
    """Every operator is built into the light runtimes: no Flex and no custom operator."""
    from ai_edge_litert import schema_py_generated as schema

    custom = schema.BuiltinOperator.CUSTOM
    return [
        _text(code.customCode) or "a custom operator"
        for code in _tflite(artifact).operatorCodes
        if max(code.builtinCode, code.deprecatedBuiltinCode) == custom
    ]


def standard_operators(artifact: Artifact) -> list[str]:
    """Every operator is of the standard ONNX set, opset 17 or older."""
    model = _onnx(artifact)
    sets = [f"domain {o.domain!r}" for o in model.opset_import if o.domain not in ("", "ai.onnx")]
    sets += [f"opset {o.version}" for o in model.opset_import if o.domain in ("", "ai.onnx") and o.version > 17]
    return sets + [f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in ("", "ai.onnx")]


def no_input_transpose(artifact: Artifact) -> list[str]:
    """The graph takes its input in the layout of its first layer, without a Transpose."""
    graph = _onnx(artifact).graph
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


def zero_points_are_zero(artifact: Artifact) -> list[str]:
    """Quantization is symmetric int8, every zero point 0 (TensorRT explicit quantization)."""
    import numpy as np

    found: list[str] = []
    constants = _constants(artifact)
    for node in _quantization_nodes(artifact):
        zero_point = constants.get(node.input[2]) if len(node.input) > 2 else None
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

    weights = {name: codes for name, codes in _constants(artifact).items() if codes.dtype == np.int8}
    return [
        f"{node.input[0]} with -128"
        for node in _quantization_nodes(artifact)
        if node.input[0] in weights and weights[node.input[0]].min(initial=0) < -127
    ]


def bias_in_float(artifact: Artifact) -> list[str]:
    """No DequantizeLinear reads int32: a bias is float (TensorRT's importer)."""
    import numpy as np

    constants = _constants(artifact)
    return [
        node.name
        for node in _quantization_nodes(artifact)
        if node.input[0] in constants and constants[node.input[0]].dtype == np.int32
    ]


def _is_tflite(target: Target, scheme: str) -> bool:
    del scheme
    return target.format == TFLITE


def _is_tflite_int8(target: Target, scheme: str) -> bool:
    return target.format == TFLITE and scheme == "int8"


def _is_onnx(target: Target, scheme: str) -> bool:
    del scheme
    return target.format == ONNX


def _is_symmetric(target: Target, scheme: str) -> bool:
    return target.format == ONNX and target.symmetric_activations and scheme == "int8"


CONSTRAINTS: tuple[Constraint, ...] = (
    Constraint(_is_tflite, built_in_operators),
    Constraint(_is_tflite_int8, integer_in_and_out),
    Constraint(_is_tflite_int8, integer_operators),
    Constraint(_is_onnx, standard_operators),
    Constraint(_is_onnx, no_input_transpose),
    Constraint(_is_symmetric, zero_points_are_zero),
    Constraint(_is_symmetric, weights_within_127),
    Constraint(_is_symmetric, bias_in_float),
)


def constraints_of(target: Target, scheme: str) -> tuple[Constraint, ...]:
    """The rules for this target's artifact of `scheme`."""
    return tuple(c for c in CONSTRAINTS if c.applies(target, scheme))


def violations(artifact: Artifact, target: Target, scheme: str) -> list[str]:
    """One line a broken rule; empty where the artifact keeps them all."""
    lines = (constraint.violation(artifact) for constraint in constraints_of(target, scheme))
    return [line for line in lines if line is not None]


def _tflite(artifact: Artifact) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(artifact.data, 0)


def _onnx(artifact: Artifact) -> Any:
    import onnx

    return onnx.ModelProto.FromString(artifact.data)


def _constants(artifact: Artifact) -> dict[str, Any]:
    import onnx

    return {t.name: onnx.numpy_helper.to_array(t) for t in _onnx(artifact).graph.initializer}


def _quantization_nodes(artifact: Artifact) -> list[Any]:
    return [n for n in _onnx(artifact).graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]


def _type_name(code: int) -> str:
    from ai_edge_litert import schema_py_generated as schema

    return next((name.lower() for name, value in vars(schema.TensorType).items() if value == code), str(code))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
