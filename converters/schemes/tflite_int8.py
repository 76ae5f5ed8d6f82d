"""Float model -> full-integer TFLite: int8 in, int8 out, per-channel weights (TFLite 8-bit specification)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.calibration.samples import Calibration
from converters.converter_output import silent_step
from converters.schemes.tflite_float32 import tflite_converter
from converters.sources.source_model import SourceModel
from edge_cnn.host.tensorflow_import import import_tensorflow


def convert_to_tflite_int8(source: SourceModel, calibration: Calibration) -> bytes:
    """The bytes of a `.tflite` whose every operator computes in integers.

    Raises:
        ModelError: the converter refuses the model, for example for an operator without an int8 version.
    """

    def representative() -> Iterator[list[Any]]:
        for i in range(len(calibration)):
            yield [calibration.inputs[i : i + 1]]

    with silent_step(f"converting {source.name} to TFLite int8"):
        tf, _ = import_tensorflow()
        converter = tflite_converter(source)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        # Without this an operator that has no int8 version would silently stay in float.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        return bytes(converter.convert())
