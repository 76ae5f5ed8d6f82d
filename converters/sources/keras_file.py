"""`.keras` and `.h5` files, and Keras models in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.sources.loaded_graph import LoadedGraph, known_shape
from converters.sources.source_model import SourceModel
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.tensorflow_import import import_tensorflow


def source_of_keras(
    model: Any,
    name: str,
    *,
    labels: tuple[str, ...] | None = None,
    preprocessing: Preprocessing | None = None,
    training: dict[str, Any] | None = None,
) -> SourceModel:
    """A Keras model in memory as a source of conversions; the caller vouches that labels and preprocessing fit."""
    graph = _function_of_keras(model)
    shapes = (known_shape(Path(name), shape) for shape in (graph.input_shape, graph.output_shape))
    return SourceModel(name, graph.function, *shapes, labels, preprocessing, training or {})


def load_keras(path: Path) -> LoadedGraph:
    """Raises: ModelError: Keras cannot read it, or it has several inputs or outputs."""
    _, keras = import_tensorflow()
    try:
        model = keras.models.load_model(path, compile=False)
    # Keras raises whatever zipfile, h5py, json or its deserializer raise on a damaged file.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"Keras cannot read {path}: {reason[:300]}; copy it or save it again") from error
    return _function_of_keras(model)


def _function_of_keras(model: Any) -> LoadedGraph:
    tf, _ = import_tensorflow()
    shape, output_shape = model.input_shape, model.output_shape
    # Several tensors have a list or a dict of shapes, which Keras may also give as a tuple of shapes.
    for kind, found in (("inputs", shape), ("outputs", output_shape)):
        if not isinstance(found, tuple) or any(isinstance(part, tuple) for part in found):
            raise ModelError(f"the model has {len(found)} {kind}, export needs one; give a model with one")
    # A fresh function, not the model's own: a reloaded model must be called once before it can be exported.
    function = tf.function(
        # A model may be made to return its one output in a list or a dict.
        lambda inputs: tf.nest.flatten(model(inputs, training=False))[0],
        input_signature=[tf.TensorSpec((None, *shape[1:]), tf.float32, name="input")],
    )
    return LoadedGraph(function, shape, output_shape)
