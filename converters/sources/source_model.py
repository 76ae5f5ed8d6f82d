"""A float model, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensor_names import with_short_names
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.tensorflow_import import import_tensorflow

_BATCH = 256


@dataclass(frozen=True)
class SourceModel:
    """A float model of one input and one output, whatever file it came from.

    The schemes take any such model; a bundle is for classifiers of images, whose `image_shape` and `classes` are read.

    Attributes:
        name: of the file, without its suffix.
        function: a tf.function, float32 (n, *input_shape) -> float32 (n, *output_shape).
        input_shape: of one sample; of an image (height, width, channels), whatever the file's order was.
        output_shape: of one sample; of a classifier (classes,).
        labels: class names, None where nothing says them.
        preprocessing: from pixels to its input, None where nothing says it.
        training: what `training.json` says of its making, JSON values.
        described_by: where labels and preprocessing come from, for messages.
        float_tflite: the float32 `.tflite` that the model is, None where it is yet to be made from `function`; whoever
            replaces the one replaces the other.
    """

    name: str
    function: Any
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    training: dict[str, Any] = field(default_factory=dict[str, Any])
    described_by: str = "training.json"
    float_tflite: bytes | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels). Raises: ModelError: the model does not take images."""
        shape = self.input_shape
        if len(shape) != 3 or shape[2] not in (1, 3):
            raise ModelError(
                f"{self.name} takes inputs of shape {_batched(shape)}, a bundle is for (n, height, width, 1 or 3); "
                "give an image classifier"
            )
        return shape[0], shape[1], shape[2]

    @property
    def classes(self) -> int:
        """Number of scores. Raises: ModelError: the model is no classifier."""
        if len(self.output_shape) != 1 or self.output_shape[0] < 2:
            raise ModelError(
                f"{self.name} has output shape {_batched(self.output_shape)}, a classifier has (n, classes); "
                "give a classifier"
            )
        return self.output_shape[0]

    @cached_property
    def float_graph(self) -> FloatGraph:
        """The model as a float32 `.tflite` of batch 1, which every TFLite scheme starts from; converted once.

        Raises:
            ModelError: the converter refuses the model.
        """
        if self.float_tflite is not None:
            return FloatGraph(self.float_tflite)
        with silent_step(f"converting {self.name} to TFLite float32"):
            return with_short_names(FloatGraph(bytes(_tflite_converter(self).convert())))

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Model inputs (n, *input_shape) -> outputs (n, *output_shape)."""
        chunks = [np.asarray(self.function(inputs[i : i + _BATCH])) for i in range(0, len(inputs), _BATCH)]
        return np.concatenate(chunks).astype(np.float32, copy=False)


def _batched(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, ('n', *shape)))})"


def _tflite_converter(source: SourceModel) -> Any:
    """A `tf.lite.TFLiteConverter` for one sample at a time.

    The batch is fixed to 1: a dynamic one would turn Flatten into five operators that compute its shape at run time.
    """
    tf, _ = import_tensorflow()

    module = tf.Module()
    forward: Any = tf.function(source.function.python_function)
    concrete = forward.get_concrete_function(tf.TensorSpec((1, *source.input_shape), tf.float32, name="input"))
    # Keras keeps its variables where a tf.Module does not see them; unseen ones are not frozen into the file.
    module.variables_to_freeze = list(concrete.variables)  # type: ignore[attr-defined]
    module.forward = forward  # type: ignore[attr-defined]
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
