"""Float model -> TFLite float32."""

from __future__ import annotations

from typing import Any

from converters.converter_output import silent_step
from converters.sources.source_model import SourceModel
from edge_cnn.host.tensorflow_import import import_tensorflow


def convert_to_tflite_float32(source: SourceModel) -> bytes:
    """The bytes of a `.tflite` with float32 weights, input (1, height, width, channels) and output (1, classes).

    Raises:
        ModelError: the converter refuses the model.
    """
    with silent_step(f"converting {source.name} to TFLite float32"):
        return bytes(tflite_converter(source).convert())


def tflite_converter(source: SourceModel) -> Any:
    """A `tf.lite.TFLiteConverter` for one sample at a time.

    The batch is fixed to 1: a dynamic one would turn Flatten into five operators that compute its shape at run time.
    """
    tf, _ = import_tensorflow()

    height, width, channels = source.image_shape
    module = tf.Module()
    forward: Any = tf.function(source.function.python_function)
    concrete = forward.get_concrete_function(tf.TensorSpec((1, height, width, channels), tf.float32, name="input"))
    # Keras keeps its variables where a tf.Module does not see them; unseen ones are not frozen into the file.
    module.variables_to_freeze = list(concrete.variables)  # type: ignore[attr-defined]
    module.forward = forward  # type: ignore[attr-defined]
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
