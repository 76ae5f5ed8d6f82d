"""`.keras` and `.h5` files, and Keras models in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from converters.sources.keras.config_checks import check_config
from converters.sources.keras.container import open_container
from converters.sources.keras.keras2_config import OPERATION, translate
from converters.sources.keras.keras2_operations import operation_layer
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
    takes, gives = (known_shape(Path(name), shape) for shape in (graph.input_shape, graph.output_shape))
    return SourceModel(name, graph.function, takes, gives, labels, preprocessing, training or {})


def load_keras(path: Path) -> LoadedGraph:
    """Also of Keras 2. Raises: ModelError: Keras cannot read it, it has code, or several inputs or outputs."""
    return _function_of_keras(read_keras_model(path))


def read_keras_model(path: Path) -> Any:
    """The `keras.Model` in a file. Raises: ModelError: Keras cannot read it, or it has code."""
    tf, keras = import_tensorflow()
    container = open_container(path)
    check_config(container.config, path)
    with tempfile.TemporaryDirectory() as folder:
        source, classes = path, {}
        if not container.version.startswith("3"):
            source = container.with_config(translate(container.config), Path(folder))
            classes = {OPERATION: operation_layer(tf, keras)}
        try:
            # safe_mode is Keras's own lock on code in files; it is on by default, and stays on.
            return keras.models.load_model(source, custom_objects=classes, compile=False, safe_mode=True)
        except ModelError:
            raise
        # Keras raises whatever zipfile, h5py, json or its deserializer raise on a damaged file.
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            advice = "copy it or save it again"
            if reason.startswith(("Unknown ", "Could not locate ")):
                advice = "export a SavedModel, which needs no classes"
            raise ModelError(f"Keras cannot read {path}: {reason[:300]}; {advice}") from error


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
