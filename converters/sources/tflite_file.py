"""Float `.tflite` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.float_graph.fixed_batch import with_fixed_batch
from converters.float_graph.float_graph import FloatGraph, drop_unread_buffers
from converters.float_graph.packing import pack
from converters.float_graph.tensorflow_graph import forward
from converters.float_graph.weight_codes import with_float_weights
from converters.sources.loaded_graph import LoadedGraph
from edge_cnn.core.artifact import TFLITE, Artifact, read_artifact
from edge_cnn.core.errors import DataError, ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.metadata import ENTRY, read_tflite_metadata
from edge_cnn.host.tensorflow_import import import_tensorflow

_CODES = ("int8", "uint8", "int16", "int4")


def load_tflite(path: Path) -> LoadedGraph:
    """The forward pass of a `.tflite` whose activations are float32; weights in float16 or int8 become float32.

    Raises:
        ModelError: damaged, quantized, of several inputs or outputs, or with an operator that is not read.
    """
    tf, _ = import_tensorflow()
    artifact = read_artifact(path)
    if artifact.format != TFLITE:
        raise ModelError(f"{path} is not a .tflite file; copy it or export it again")
    model = read_tflite(artifact)
    for kind, ends in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(ends) != 1:
            raise ModelError(f"{path} has {len(ends)} {kind}, export needs one; give a model with one")
    graph = _read(artifact, path)
    entry, exit_ = (graph.tensors[ends[0]] for ends in (graph.inputs, graph.outputs))
    if not entry.shape or entry.shape[0] != 1:
        raise ModelError(f"{path} takes inputs of shape {entry.shape}, export needs one sample a run; export it with 1")
    function = tf.function(
        tf.autograph.experimental.do_not_convert(forward(graph)),
        input_signature=[tf.TensorSpec((None, *entry.shape[1:]), tf.float32, name="input")],
    )
    labels, preprocessing = _metadata(artifact, entry.shape[1:])
    return LoadedGraph(function, (None, *entry.shape[1:]), (None, *exit_.shape[1:]), labels, preprocessing, graph.data)


def _read(artifact: Artifact, path: Path) -> FloatGraph:
    from ai_edge_litert import schema_py_generated as schema

    try:
        graph = FloatGraph(artifact.data)
        constants = {tensor.index for tensor in graph.tensors if tensor.constant is not None}
        for operator in graph.operators:
            for index in operator.outputs:
                if graph.tensors[index].type in _CODES and index not in constants:
                    raise ModelError(
                        f"{path} is already quantized: {operator.op} writes {graph.tensors[index].name!r} "
                        f"as {graph.tensors[index].type}; give the float model"
                    )
        for index in graph.inputs:
            if graph.tensors[index].type != "float32":
                raise ModelError(
                    f"{path} is already quantized: it takes {graph.tensors[index].type}; give the float model"
                )
        graph = with_float_weights(graph)
        # The metadata is written anew with the labels and the preprocessing of the bundle.
        tree: Any = schema.ModelT.InitFromPackedBuf(graph.data, 0)
        tree.metadata = [entry for entry in tree.metadata or [] if entry.name != ENTRY.encode()] or None
        drop_unread_buffers(tree)
        return FloatGraph(with_fixed_batch(pack(tree)))
    except ModelError:
        raise
    # The generated reader raises struct.error, TypeError, IndexError, ... on damaged offsets.
    except Exception as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}); copy it or export it again") from error


def _metadata(artifact: Artifact, shape: tuple[int, ...]) -> tuple[tuple[str, ...] | None, Preprocessing | None]:
    labels, normalization = read_tflite_metadata(artifact)
    if normalization is None or len(shape) != 3:
        return labels, None
    height, width, channels = shape
    try:
        return labels, Preprocessing(height, width, channels, *normalization)
    except DataError:
        return labels, None
