"""`.onnx` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.sources.loaded_graph import LoadedGraph, known_shape
from converters.sources.onnx.external_data import load_external_data
from converters.sources.onnx.graph import forward, layer_name, operator_name, unknown_operators
from converters.sources.onnx.value import CHANNELS_LAST
from edge_cnn.core.artifact import ONNX, Artifact, read_artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.onnx.metadata import read_onnx_metadata
from edge_cnn.host.tensorflow_import import import_tensorflow

_CHANNELS = (1, 3)
_FLOAT_TYPES = (1, 10, 11, 16)
"""TensorProto's FLOAT, FLOAT16, DOUBLE, BFLOAT16: all are read as float32."""


def load_onnx(path: Path) -> LoadedGraph:
    """The forward pass of an `.onnx` with float weights, images as (n, height, width, channels).

    Raises:
        ModelError: damaged, quantized, of several inputs or outputs, of unknown size, with weights outside its folder,
            or with an operator that is not read.
    """
    tf, _ = import_tensorflow()
    artifact = read_artifact(path)
    model = _parse(artifact, path)
    entry = _entry(model, path)
    _refuse_quantized(model, path)
    unknown = unknown_operators(model)
    if unknown:
        named = ", ".join(f"{op} (layer {layer!r})" for op, layer in list(unknown.items())[:5])
        raise ModelError(
            f"{path} has operators that export does not read: {named}; export the model without them, "
            "docs/models-in.md lists those that it reads"
        )
    shape = _shape(entry, path)
    axes = _axes(model, shape)
    stored = [0] * len(shape)
    for axis, place in enumerate(axes):
        stored[place] = shape[axis]
    run = forward(model, shape[0])
    function = tf.function(
        # The walk through the nodes is Python's, there is no control flow to translate.
        tf.autograph.experimental.do_not_convert(lambda inputs: run(tf, inputs, axes)),
        input_signature=[tf.TensorSpec((None, *stored[1:]), tf.float32, name="input")],
    )
    output = tuple(function.get_concrete_function().outputs[0].shape)
    labels, preprocessing = read_onnx_metadata(artifact)
    return LoadedGraph(function, (None, *stored[1:]), output, labels, preprocessing)


def _parse(artifact: Artifact, path: Path) -> Any:
    import onnx

    if artifact.format != ONNX:
        raise ModelError(f"{path} is not an .onnx file; copy it or export it again")
    try:
        model = onnx.ModelProto.FromString(artifact.data)
    # protobuf raises DecodeError, which is no class of its own in every implementation.
    except Exception as error:
        raise ModelError(f"{path} is not a whole .onnx file ({len(artifact.data)} bytes); copy it again") from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path} is not a whole .onnx file: it has no graph; copy it again")
    load_external_data(model, path)
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    return model


def _entry(model: Any, path: Path) -> Any:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    outputs = list(model.graph.output)
    for kind, values in (("inputs", inputs), ("outputs", outputs)):
        if len(values) != 1:
            raise ModelError(f"{path} has {len(values)} {kind}, export needs one; give a model with one")
    # Files before IR version 4 name their constants among the inputs.
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return inputs[0]


def _refuse_quantized(model: Any, path: Path) -> None:
    for node in model.graph.node:
        op = node.op_type
        if (
            op in ("QuantizeLinear", "DequantizeLinear")
            or op.startswith(("QLinear", "DynamicQuantize"))
            or (op.endswith("Integer") and op in ("ConvInteger", "MatMulInteger"))
        ):
            raise ModelError(
                f"{path} is already quantized: {operator_name(node)} in layer {layer_name(node)!r}; "
                "give the float model"
            )


def _shape(entry: Any, path: Path) -> tuple[Any, ...]:
    """With None for a dynamic batch."""
    kind = entry.type.tensor_type
    if kind.elem_type not in _FLOAT_TYPES:
        import onnx

        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower() if kind.elem_type else "unknown"
        raise ModelError(
            f"{path} takes {name} inputs, export needs float32; export it without what makes floats of them"
        )
    sizes = tuple(int(dim.dim_value) if dim.dim_value > 0 else None for dim in kind.shape.dim)
    known_shape(path, sizes)
    return sizes


def _axes(model: Any, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """How the source stores the input: images with the channels last, all else as ONNX says."""
    same = tuple(range(len(shape)))
    if len(shape) != 4:
        return same
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if first != last:
        return CHANNELS_LAST if first else same
    # The numbers do not tell: whoever transposes images before anything else had the channels last.
    name = model.graph.input[0].name
    turned = any(node.op_type == "Transpose" for node in model.graph.node if name in node.input)
    return same if turned else CHANNELS_LAST
