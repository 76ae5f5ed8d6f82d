"""Which constraint holds for which target and scheme."""

from __future__ import annotations

from converters.constraints.constraint import Constraint
from converters.constraints.onnx_rules import no_input_transpose, standard_operators
from converters.constraints.tensorrt_rules import bias_in_float, weights_within_127, zero_points_are_zero
from converters.constraints.tflite_rules import built_in_operators, integer_in_and_out, integer_operators
from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.targets import Target


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
