"""Which files an export makes: one for each different recipe, shared by all targets that take it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converters.calibration import Calibration
from converters.keras_to_onnx import convert_to_onnx_float32
from converters.keras_to_tflite_float32 import convert_to_tflite_float32
from converters.keras_to_tflite_int8 import convert_to_tflite_int8
from converters.model_loading import SourceModel
from converters.onnx_int8_qdq import quantize_to_onnx_int8
from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import Target, find_target


@dataclass(frozen=True)
class Recipe:
    """How to make one kind of file.

    Attributes:
        format: "tflite" or "onnx".
        scheme: quantization scheme, as `export --scheme` names it.
        suffix: what tells its file from others of the same format.
        is_quantized: whether it computes in integers.
        convert: model, calibration -> the bytes of the file, without metadata.
    """

    format: str
    scheme: str
    suffix: str
    is_quantized: bool
    convert: Callable[[SourceModel, Calibration], bytes]


def _tflite_float32(source: SourceModel, calibration: Calibration) -> bytes:
    del calibration
    return convert_to_tflite_float32(source)


def _onnx_float32(source: SourceModel, calibration: Calibration) -> bytes:
    del calibration
    return convert_to_onnx_float32(source)


def _onnx_int8(source: SourceModel, calibration: Calibration) -> bytes:
    return quantize_to_onnx_int8(convert_to_onnx_float32(source), calibration, symmetric=False)


def _onnx_int8_symmetric(source: SourceModel, calibration: Calibration) -> bytes:
    return quantize_to_onnx_int8(convert_to_onnx_float32(source), calibration, symmetric=True)


_ONNX_INT8_SYMMETRIC = Recipe(ONNX, "int8", "int8-symmetric", True, _onnx_int8_symmetric)

_RECIPES: dict[tuple[str, str], Recipe] = {
    (recipe.format, recipe.scheme): recipe
    for recipe in (
        Recipe(TFLITE, "float32", "float32", False, _tflite_float32),
        Recipe(TFLITE, "int8", "int8", True, convert_to_tflite_int8),
        Recipe(ONNX, "float32", "float32", False, _onnx_float32),
        Recipe(ONNX, "int8", "int8", True, _onnx_int8),
    )
}


def recipe_of(target: Target, scheme: str) -> Recipe:
    """The recipe for a target.

    Raises:
        InputError: the target does not take the scheme.
    """
    if scheme not in target.schemes:
        raise InputError(
            f"target {target.name!r} does not take scheme {scheme!r}; it takes {', '.join(target.schemes)}"
        )
    recipe = _RECIPES[target.format, scheme]
    return _ONNX_INT8_SYMMETRIC if recipe.is_quantized and target.symmetric_activations else recipe


@dataclass(frozen=True)
class PlannedArtifact:
    """A file to make.

    Attributes:
        name: member name in the bundle.
        recipe: how.
        targets: for whom.
    """

    name: str
    recipe: Recipe
    targets: tuple[Target, ...]


def plan_artifacts(targets: Sequence[str], schemes: Sequence[str] = ()) -> tuple[PlannedArtifact, ...]:
    """The files for `targets`, each in its default scheme or in all of `schemes`, in the order of the arguments.

    The first file of a format is `model.FORMAT`, the others say what they are: `model-float32.tflite`.

    Raises:
        InputError: no or unknown targets, or a scheme that one of them does not take.
    """
    if not targets:
        raise InputError("no target given; name one or more with --target, see 'edge-cnn targets'")
    users: dict[Recipe, list[Target]] = {}
    for target in map(find_target, dict.fromkeys(targets)):
        for scheme in dict.fromkeys(schemes) or (target.default_scheme,):
            users.setdefault(recipe_of(target, scheme), []).append(target)
    planned: list[PlannedArtifact] = []
    for recipe, users_of_it in users.items():
        is_first = all(p.recipe.format != recipe.format for p in planned)
        name = f"model.{recipe.format}" if is_first else f"model-{recipe.suffix}.{recipe.format}"
        planned.append(PlannedArtifact(name, recipe, tuple(users_of_it)))
    return tuple(planned)
