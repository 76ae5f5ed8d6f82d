"""A float classifier, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.tensorflow_import import import_tensorflow

_BATCH = 256


@dataclass(frozen=True)
class SourceModel:
    """A float classifier, whatever file it came from.

    Attributes:
        name: of the file, without its suffix.
        function: a tf.function, float32 (n, height, width, channels) -> float32 (n, classes).
        image_shape: (height, width, channels) of its input.
        classes: width of its output.
        labels: class names, None where the file has none beside it.
        preprocessing: from pixels to its input, None where the file has none beside it.
        training: what `training.json` says of its making, JSON values.
    """

    name: str
    function: Any
    image_shape: tuple[int, int, int]
    classes: int
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    training: dict[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def float_graph(self) -> FloatGraph:
        """The model as a float32 `.tflite` of batch 1, which every TFLite scheme starts from; converted once.

        Raises:
            ModelError: the converter refuses the model.
        """
        with silent_step(f"converting {self.name} to TFLite float32"):
            return FloatGraph(bytes(_tflite_converter(self).convert()))

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Model inputs (n, height, width, channels) -> outputs (n, classes)."""
        chunks = [np.asarray(self.function(inputs[i : i + _BATCH])) for i in range(0, len(inputs), _BATCH)]
        return np.concatenate(chunks).astype(np.float32, copy=False)


def _tflite_converter(source: SourceModel) -> Any:
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
