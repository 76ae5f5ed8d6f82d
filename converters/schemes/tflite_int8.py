"""Float model -> full-integer TFLite: int8 in, int8 out, per-channel weights (TFLite 8-bit specification)."""

from __future__ import annotations

from collections.abc import Collection

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.sources.source_model import SourceModel


def convert_to_tflite_int8(source: SourceModel, calibration: Calibration, in_float: Collection[str] = ()) -> bytes:
    """The bytes of a `.tflite` whose every operator computes in integers.

    Args:
        source: the float model.
        calibration: samples that set the ranges.
        in_float: names of operators that stay float32; the file's ends are then float32 too.

    Raises:
        ModelError: the converter or the quantizer refuses the model.
    """
    graph = source.float_graph
    return quantize_to_int8(graph, ranges_of(graph, calibration), in_float=in_float)
