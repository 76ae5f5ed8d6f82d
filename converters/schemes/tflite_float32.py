"""Float model -> TFLite float32."""

from __future__ import annotations

from converters.sources.source_model import SourceModel


def convert_to_tflite_float32(source: SourceModel) -> bytes:
    """The bytes of a `.tflite` with float32 weights, input (1, height, width, channels) and output (1, classes).

    Raises:
        ModelError: the converter refuses the model.
    """
    return source.float_graph.data
