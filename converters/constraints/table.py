"""Which sets of constraints there are, and what holds for a target and a scheme."""

from __future__ import annotations

from converters.constraints.constraint import Constraint
from converters.constraints.edgetpu_rules import (
    equal_dilations,
    no_fused_activation_in_pools,
    one_sample_at_a_time,
    operators_of_edgetpu,
    parameters_are_constant,
    short_softmax,
    three_dimensions,
)
from converters.constraints.ethos_u_rules import (
    eight_bit_weights,
    feature_maps_are_integers,
    operators_of_ethos_u,
    operators_of_ethos_u85,
    scale_a_channel_in_layers_only,
    strides_of_ethos_u,
)
from converters.constraints.memory_rules import activations_fit_ram, file_fits_flash
from converters.constraints.onnx_rules import no_input_transpose, runtime_operators, standard_operators
from converters.constraints.openvino_rules import quantized_in_pairs
from converters.constraints.qnn_rules import (
    narrow_activations,
    only_the_batch_is_open,
    operators_of_qnn,
    pairs_between_operators,
)
from converters.constraints.tensorrt_rules import (
    bias_in_float,
    layers_between_pairs,
    residual_adds_between_pairs,
    weights_within_127,
    zero_points_are_zero,
)
from converters.constraints.tflite_rules import (
    built_in_operators,
    fixed_shapes,
    float_in_and_out,
    integer_in_and_out,
    integer_operators,
    sixteen_bit_activations,
    unsigned_in_and_out,
)
from converters.constraints.tflm_rules import no_hybrid_layers, no_weight_only_layers, operators_of_tflm
from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import Memory, Target

_INT8_ENDS = frozenset({"int8", "int8-per-tensor", "int4-weights"})
_INTEGER = _INT8_ENDS | {"int8-uint8io", "int8-floatio"}
_PAIRS = frozenset({"int8", "int8-qdq-int8", "int8-symmetric"})
_SYMMETRIC = frozenset({"int8", "int8-symmetric"})
_ALL_BUT_OPERATORS_ON_CODES = frozenset({"float32", "float16", "dynamic-int8"}) | _PAIRS

RULE_SETS: dict[str, tuple[Constraint, ...]] = {
    TFLITE: (
        Constraint(built_in_operators),
        Constraint(fixed_shapes),
        Constraint(integer_in_and_out, _INT8_ENDS),
        Constraint(unsigned_in_and_out, frozenset({"int8-uint8io"})),
        Constraint(float_in_and_out, frozenset({"int8-floatio"})),
        Constraint(integer_operators, _INTEGER),
        Constraint(sixteen_bit_activations, frozenset({"int16x8"})),
    ),
    ONNX: (
        Constraint(standard_operators, _ALL_BUT_OPERATORS_ON_CODES),
        Constraint(runtime_operators, frozenset({"qoperator-int8"})),
        Constraint(no_input_transpose),
    ),
    "tensorrt": (
        Constraint(zero_points_are_zero, _SYMMETRIC),
        Constraint(weights_within_127, _SYMMETRIC),
        Constraint(bias_in_float, _SYMMETRIC),
        Constraint(layers_between_pairs, _SYMMETRIC),
        Constraint(residual_adds_between_pairs, _SYMMETRIC),
    ),
    "qnn": (
        Constraint(operators_of_qnn),
        Constraint(only_the_batch_is_open),
        Constraint(narrow_activations, _PAIRS),
        Constraint(pairs_between_operators, _PAIRS),
    ),
    "openvino": (Constraint(quantized_in_pairs, _PAIRS),),
    "edgetpu": (
        Constraint(operators_of_edgetpu),
        Constraint(one_sample_at_a_time),
        Constraint(three_dimensions),
        Constraint(parameters_are_constant),
        Constraint(no_fused_activation_in_pools),
        Constraint(equal_dilations),
        Constraint(short_softmax),
    ),
    "ethos-u": (
        Constraint(operators_of_ethos_u),
        Constraint(feature_maps_are_integers),
        Constraint(eight_bit_weights),
        Constraint(scale_a_channel_in_layers_only),
        Constraint(strides_of_ethos_u),
    ),
    "ethos-u85": (
        Constraint(operators_of_ethos_u85),
        Constraint(feature_maps_are_integers),
        Constraint(eight_bit_weights),
        Constraint(scale_a_channel_in_layers_only),
    ),
    "tflm": (
        Constraint(operators_of_tflm),
        Constraint(no_hybrid_layers),
        Constraint(no_weight_only_layers),
    ),
    "memory": (
        Constraint(file_fits_flash, limits=lambda target: _memory(target).flash),
        Constraint(activations_fit_ram, limits=lambda target: _memory(target).ram),
    ),
}
"""Name, as in a target's `rules`, -> constraints; those named as a format hold for all its targets."""


def constraints_of(target: Target, scheme: str) -> tuple[Constraint, ...]:
    """The rules for this target's artifact of `scheme`.

    Raises:
        InputError: the target names a set of rules that is not there.
    """
    unknown = [name for name in target.rules if name not in RULE_SETS]
    if unknown:
        raise InputError(f"target {target.name!r} names unknown rules {unknown[0]!r}; known: {', '.join(RULE_SETS)}")
    rules = (rule for name in (target.format, *target.rules) for rule in RULE_SETS[name])
    return tuple(rule for rule in rules if rule.applies(scheme))


def violations(artifact: Artifact, target: Target, scheme: str) -> list[str]:
    """One line a broken rule; empty where the artifact keeps them all."""
    lines = (constraint.violation(artifact, target) for constraint in constraints_of(target, scheme))
    return [line for line in lines if line is not None]


def _memory(target: Target) -> Memory:
    if target.memory is None:
        raise InputError(f"target {target.name!r} has rules for memory and states none")
    return target.memory
