"""Float model -> TFLite with int16 activations, int8 weights and int64 biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph
from converters.schemes.tflite_edit import TfliteEdit
from edge_cnn.core.errors import ModelError
from edge_cnn.host.tensorflow_import import import_tensorflow


def quantize_to_int16x8(graph: FloatGraph, ranges: Mapping[int, tuple[float, float]]) -> bytes:
    """Activations of 16 bits: near float accuracy in integers, at the size of int8 and a multiple of its time.

    Every activation has zero point 0 and the scale max(|low|, |high|) / 32767.

    Args:
        graph: float32, BatchNorm folded.
        ranges: tensor index -> (low, high) of every activation.

    Raises:
        ModelError: an operator has no kernel for int16.
    """
    with silent_step("quantizing to TFLite int16x8"):
        import_tensorflow()
        from tensorflow.lite.python.optimize.calibrator import Calibrator

        int16, int64 = np.dtype(np.int16).num, np.dtype(np.int64).num
        # It refuses versions that no operator has any more, as `with_float_weights` leaves them; `finish` drops those.
        data = TfliteEdit(graph.with_ranges(ranges).data).finish()
        # No samples are fed: it takes the ranges that the file says.
        calibrator: Any = Calibrator(data)
        try:
            quantized = calibrator._calibrator.QuantizeModel(int16, int16, False, int16, int64, False, False)
        except RuntimeError as error:
            raise ModelError(
                f"the quantizer to int16 activations refuses the model: {' '.join(str(error).split())[:300]}; "
                "export it as int8"
            ) from error
    # It leaves versions of int8 behind, which an old runtime would take for what it knows.
    return TfliteEdit(bytes(quantized)).finish()
