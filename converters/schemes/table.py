"""The recipe of each format and scheme: one row an algorithm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.float_graph.float_graph import FloatGraph
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.schemes.onnx_dynamic_int8 import quantize_to_onnx_dynamic_int8
from converters.schemes.onnx_float16 import convert_to_onnx_float16
from converters.schemes.onnx_float32 import convert_to_onnx_float32
from converters.schemes.onnx_int8 import quantize_to_onnx_int8
from converters.schemes.onnx_qoperator_int8 import quantize_to_qoperator_int8
from converters.schemes.recipe import Convert, Recipe
from converters.schemes.tflite_ends import with_float_ends, with_uint8_ends
from converters.schemes.tflite_float16 import to_float16
from converters.schemes.tflite_float32 import convert_to_tflite_float32
from converters.schemes.tflite_int4_weights import quantize_to_int4_weights
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.schemes.tflite_int16x8 import quantize_to_int16x8
from converters.schemes.tflite_weights import quantize_to_dynamic_int8, quantize_weights_only
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import Target
from edge_cnn.core.tolerance import FLOAT, HALF, HYBRID, INT4, INT16
from edge_cnn.device.runtimes.scheme_support import in_words, measured, runs

Ranges = Mapping[int, tuple[float, float]]


def _uncalibrated(make: Callable[[FloatGraph, Collection[str]], bytes]) -> Convert:
    def convert(source: SourceModel, calibration: Calibration, in_float: Collection[str] = ()) -> bytes:
        del calibration
        return make(source.float_graph, in_float)

    return convert


def _calibrated(make: Callable[[FloatGraph, Ranges, Collection[str]], bytes]) -> Convert:
    def convert(source: SourceModel, calibration: Calibration, in_float: Collection[str] = ()) -> bytes:
        graph = source.float_graph
        return make(graph, ranges_of(graph, calibration), in_float)

    return convert


def _onnx(make: Callable[[bytes, Calibration, Collection[str]], bytes]) -> Convert:
    def convert(source: SourceModel, calibration: Calibration, in_float: Collection[str] = ()) -> bytes:
        return make(convert_to_onnx_float32(source), calibration, in_float)

    return convert


def _whole(scheme: str, in_float: Collection[str]) -> None:
    if in_float:
        raise InputError(
            f"scheme {scheme!r} is the same for all layers, so {sorted(in_float)[0]!r} cannot stay in float; take int8"
        )


def _tflite_float32(source: SourceModel, calibration: Calibration, in_float: Collection[str] = ()) -> bytes:
    del calibration, in_float  # All of it is.
    return convert_to_tflite_float32(source)


def _tflite_uint8_ends(graph: FloatGraph, ranges: Ranges, in_float: Collection[str]) -> bytes:
    _whole("int8-uint8io", in_float)
    return with_uint8_ends(quantize_to_int8(graph, ranges))


def _tflite_float_ends(graph: FloatGraph, ranges: Ranges, in_float: Collection[str]) -> bytes:
    # What leaves layers in float has float ends already.
    quantized = quantize_to_int8(graph, ranges, in_float=in_float)
    return quantized if in_float else with_float_ends(quantized)


def _tflite_int16x8(graph: FloatGraph, ranges: Ranges, in_float: Collection[str]) -> bytes:
    _whole("int16x8", in_float)
    return quantize_to_int16x8(graph, ranges)


def _onnx_float32(model: bytes, calibration: Calibration, in_float: Collection[str]) -> bytes:
    del calibration, in_float  # All of it is.
    return model


def _onnx_float16(model: bytes, calibration: Calibration, in_float: Collection[str]) -> bytes:
    del calibration
    _whole("float16", in_float)
    return convert_to_onnx_float16(model)


_ONNX_INT8_SYMMETRIC = Recipe(
    ONNX,
    "int8-symmetric",
    "int8-symmetric",
    True,
    _onnx(lambda model, data, names: quantize_to_onnx_int8(model, data, symmetric=True, in_float=names)),
    "Q/DQ pairs, int8 activations of zero point 0, float biases: TensorRT",
)

RECIPES: dict[tuple[str, str], Recipe] = {
    (recipe.format, recipe.scheme): recipe
    for recipe in (
        Recipe(TFLITE, "float32", "float32", False, _tflite_float32, "as it was trained", arithmetic=FLOAT),
        Recipe(
            TFLITE,
            "float16",
            "float16",
            False,
            _uncalibrated(lambda graph, names: to_float16(graph, in_float=names)),
            "float16 constants, float32 arithmetic",
            arithmetic=FLOAT,
        ),
        Recipe(
            TFLITE,
            "dynamic-int8",
            "dynamic-int8",
            True,
            _uncalibrated(lambda graph, names: quantize_to_dynamic_int8(graph, in_float=names)),
            "int8 weights; layers round their float inputs as they come",
            arithmetic=HYBRID,
        ),
        Recipe(
            TFLITE,
            "int8-weights",
            "int8-weights",
            True,
            _uncalibrated(lambda graph, names: quantize_weights_only(graph, in_float=names)),
            "int8 weights, float32 arithmetic",
            arithmetic=FLOAT,
        ),
        Recipe(TFLITE, "int8", "int8", True, convert_to_tflite_int8, "all in integers, a weight scale a channel"),
        Recipe(
            TFLITE,
            "int8-uint8io",
            "int8-uint8io",
            True,
            _calibrated(_tflite_uint8_ends),
            "int8 with uint8 input and output",
        ),
        Recipe(
            TFLITE,
            "int8-floatio",
            "int8-floatio",
            True,
            _calibrated(_tflite_float_ends),
            "int8 with float32 input and output",
        ),
        Recipe(
            TFLITE,
            "int8-per-tensor",
            "int8-per-tensor",
            True,
            _calibrated(
                lambda graph, ranges, names: quantize_to_int8(graph, ranges, per_channel=False, in_float=names)
            ),
            "int8, one weight scale a layer",
        ),
        Recipe(
            TFLITE,
            "int16x8",
            "int16x8",
            True,
            _calibrated(_tflite_int16x8),
            "int16 activations, int8 weights, int64 biases",
            arithmetic=INT16,
        ),
        Recipe(
            TFLITE,
            "int4-weights",
            "int4-weights",
            True,
            _calibrated(lambda graph, ranges, names: quantize_to_int4_weights(graph, ranges, in_float=names)),
            "int8 activations, int4 weights",
            arithmetic=INT4,
        ),
        Recipe(ONNX, "float32", "float32", False, _onnx(_onnx_float32), "as it was trained", arithmetic=FLOAT),
        Recipe(
            ONNX, "float16", "float16", False, _onnx(_onnx_float16), "float16 inside, float32 ends", arithmetic=HALF
        ),
        Recipe(
            ONNX,
            "dynamic-int8",
            "dynamic-int8",
            True,
            _onnx(lambda model, _, names: quantize_to_onnx_dynamic_int8(model, in_float=names)),
            "8-bit weights; layers round their float inputs as they come, by the range of the whole batch",
            arithmetic=HYBRID,
        ),
        Recipe(
            ONNX,
            "int8",
            "int8",
            True,
            _onnx(lambda model, data, names: quantize_to_onnx_int8(model, data, in_float=names)),
            "Q/DQ pairs, uint8 activations",
        ),
        Recipe(
            ONNX,
            "int8-qdq-int8",
            "int8-qdq-int8",
            True,
            _onnx(lambda model, data, names: quantize_to_onnx_int8(model, data, signed=True, in_float=names)),
            "Q/DQ pairs, int8 activations",
        ),
        _ONNX_INT8_SYMMETRIC,
        Recipe(
            ONNX,
            "qoperator-int8",
            "qoperator-int8",
            True,
            _onnx(lambda model, data, names: quantize_to_qoperator_int8(model, data, in_float=names)),
            "operators on codes, ONNX Runtime's own",
        ),
    )
}


_SYMMETRIC_AS_INT8 = replace(_ONNX_INT8_SYMMETRIC, scheme="int8")


def schemes_of(target: Target) -> tuple[str, ...]:
    """What a target takes, the default scheme first.

    Its row names what it is made for. Where nothing but light runtimes stands between the file and the processor, it
    takes what was measured to run in all of them, too.
    """
    if target.compiler not in ("", "tflm") or target.activations != "uint8":
        return target.schemes
    others = (
        scheme
        for kind, scheme in RECIPES
        if kind == target.format
        and scheme not in target.schemes
        and all(runs(measured(kind, scheme, runtime)) for runtime in target.runtimes)
    )
    return (*target.schemes, *others)


def recipe_of(target: Target, scheme: str) -> Recipe:
    """The recipe for a target.

    Raises:
        InputError: the target does not take the scheme, or one of its runtimes refuses it or computes it wrongly.
    """
    schemes = schemes_of(target)
    if scheme not in schemes:
        raise InputError(
            f"target {target.name!r} does not take scheme {scheme!r}{_why_not(target, scheme)}; "
            f"it takes {', '.join(schemes)}"
        )
    as_int8 = scheme == "int8" and target.activations == "int8-symmetric"
    return _SYMMETRIC_AS_INT8 if as_int8 else RECIPES[target.format, scheme]


def _why_not(target: Target, scheme: str) -> str:
    for runtime in target.runtimes:
        verdict = measured(target.format, scheme, runtime)
        if verdict is not None and not runs(verdict):
            return f", which {runtime} {in_words(verdict).replace('known wrong', 'computes wrong')}"
    return ""
