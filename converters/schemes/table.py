"""The recipe of each format and scheme: one row an algorithm."""

from __future__ import annotations

from converters.calibration.samples import Calibration
from converters.schemes.onnx_float32 import convert_to_onnx_float32
from converters.schemes.onnx_int8 import quantize_to_onnx_int8
from converters.schemes.recipe import Recipe
from converters.schemes.tflite_float32 import convert_to_tflite_float32
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import Target


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
    return _ONNX_INT8_SYMMETRIC if recipe.is_quantized and target.activations == "int8-symmetric" else recipe
