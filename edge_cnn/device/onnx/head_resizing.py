"""Give the last layer of an `.onnx` file more classes or fewer, or the same in another order.

What has one entry a class gets its new length: weights, bias, their scales, the declared shapes from the layer to the
output, and the constants of reshapes there. Classes that stay keep their codes. A new class gets weights of 0 and the
lowest bias, so that the file answers as before until the class is taught.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.head.class_change import ClassChange
from edge_cnn.device.head.quantization import BIAS_LIMIT, FLOAT_FLOOR
from edge_cnn.device.onnx.constants import Slot, constant_edits
from edge_cnn.device.onnx.file import OnnxModel, Value, read_onnx
from edge_cnn.device.onnx.head_layout import HeadLayout
from edge_cnn.device.onnx.head_search import find_head
from edge_cnn.device.onnx.metadata import LABELS
from edge_cnn.device.onnx.parameter import Parameter
from edge_cnn.device.onnx.protobuf_wire import (
    Span,
    encode_delimited,
    encode_integer,
    encode_text,
    read_fields,
    read_integer,
    read_message,
    read_text,
    rewrite,
)
from edge_cnn.device.onnx.quantizer import Quantizer, codes_dtype, constant_of, quantizer_params

_METADATA_PROPS = 14


def resize_onnx_head(artifact: Artifact, change: ClassChange) -> Artifact:
    """A copy of the file with the classes of `change`, their names in its metadata_props.

    Raises:
        NoHeadError, ModelError: as `split_onnx_head`; also when the layer has no bias to hold a new class down, or
            something behind it that cannot take another number of classes.
    """
    model = read_onnx(artifact)
    layout = find_head(model)
    layer = layout.layer
    if layer.classes != change.before:
        raise ModelError(
            f"{artifact.name} has {layer.classes} classes, the change is from {change.before}; name the file's own"
        )
    if change.added and layout.bias is None:
        raise ModelError(
            f"{layer.node.describe()} has no bias, which a new class needs; export a model whose last layer has a bias"
        )
    after = len(change.sources)
    slots = [*_weight_slots(model, layout, change), *_bias_slots(model, layout, change)]
    slots += _reshape_slots(model, layout, after)
    edits = constant_edits(model, slots)
    edits |= _shape_edits(model, layout, slots, after)
    kept, labels = _label_edits(model, change.labels)
    return replace(artifact, data=rewrite(model.data, edits | kept) + labels)


def _weight_slots(model: OnnxModel, layout: HeadLayout, change: ClassChange) -> Iterator[Slot]:
    layer, weights = layout.layer, layout.layer.weights
    values = np.moveaxis(weights.tensor.values(), layer.class_axis, 0)
    fill = weights.params.zero_points[0] if weights.params is not None and weights.stores_codes else 0
    resized = np.moveaxis(change.rows(values, np.asarray(fill)), 0, layer.class_axis)
    yield Slot(*weights.user, np.ascontiguousarray(resized))
    yield from _quantizer_slots(model, weights, change, _coarsest(weights))


def _bias_slots(model: OnnxModel, layout: HeadLayout, change: ClassChange) -> Iterator[Slot]:
    bias = layout.bias
    if bias is None:
        return
    place = _coarsest(layout.layer.weights)
    stored = bias.tensor.values()
    lowest = _lowest_bias(model, layout, bias, place)
    resized = change.rows(stored.reshape(-1), np.asarray(lowest))
    shape = [len(resized) if size == layout.layer.classes else size for size in stored.shape]
    yield Slot(*bias.user, resized.reshape(shape))
    yield from _quantizer_slots(model, bias, change, place)


def _coarsest(weights: Parameter) -> int:
    """The class with the largest weight scale, which a new class takes over; 0 where there is one for all."""
    return int(np.argmax(weights.params.scales)) if weights.params is not None else 0


def _lowest_bias(model: OnnxModel, layout: HeadLayout, bias: Parameter, place: int) -> float:
    """What the file stores for a bias so low that the class is never the answer."""
    if bias.params is None:
        return FLOAT_FLOOR
    scale = bias.params.scales[place if len(bias.params.scales) > 1 else 0]
    dtype = np.dtype(bias.codes_dtype(model))
    if dtype != np.int32:
        code = int(np.iinfo(dtype).min)
    elif layout.logits:
        step = quantizer_params(model, layout.logits[0]).scale
        levels = 2 ** (8 * np.dtype(codes_dtype(model, layout.logits[0])).itemsize)
        # More than the whole range below 0: the code saturates at the lowest, whatever the zero point.
        code = -min(math.ceil(levels * step / scale), BIAS_LIMIT)
    else:
        code = -min(math.ceil(-FLOAT_FLOOR / scale), BIAS_LIMIT)
    if bias.stores_codes:
        return code
    return (code - bias.params.zero_points[0]) * scale


def _quantizer_slots(model: OnnxModel, parameter: Parameter, change: ClassChange, place: int) -> Iterator[Slot]:
    for quantizer in parameter.quantizers:
        for node, index in _inputs_of(quantizer):
            values = constant_of(model, node, index).values()
            if values.shape == (change.before,):
                yield Slot(node, index, change.rows(values, values[place]))


def _inputs_of(quantizer: Quantizer) -> Iterator[tuple[Any, int]]:
    yield quantizer.scale
    if quantizer.has_zero_point:
        yield quantizer.zero_point


def _reshape_slots(model: OnnxModel, layout: HeadLayout, after: int) -> Iterator[Slot]:
    """What tells a Reshape behind the layer the number of classes: a constant, or a part of a Concat."""
    for node in layout.tail:
        if node.op != "Reshape":
            continue
        places = [(node, 1)]
        maker = model.producers.get(node.input(1))
        if maker is not None and maker.op == "Concat":
            places = [(maker, index) for index in range(len(maker.inputs))]
        for user, index in places:
            stored = model.constants.get(user.input(index))
            if stored is None:
                continue
            sizes = stored.tensor.values()
            found = np.flatnonzero(sizes.reshape(-1) == layout.layer.classes)
            if len(found):
                sizes = sizes.copy()
                sizes.reshape(-1)[found[-1]] = after
                yield Slot(user, index, sizes)


def _shape_edits(model: OnnxModel, layout: HeadLayout, slots: list[Slot], after: int) -> dict[Span, bytes]:
    """Declared shapes: changed from the layer to the output, left out for what is computed from weights and scales."""
    before = layout.layer.classes
    activations = _written_after(model, set(layout.layer.node.outputs))
    changed = {slot.node.input(slot.index) for slot in slots}
    others = _written_after(model, changed) - activations - {name for name in changed if name in model.constants}
    edits: dict[Span, bytes] = {}
    for value in (*model.value_info, *model.output_values):
        if value.spec.name in activations:
            edits |= _dimension_edit(model.data, value, before, after)
        elif value.spec.name in others:
            edits[value.span] = b""
    # Old files list constants as inputs too.
    for value in model.input_values:
        if value.spec.name in changed:
            edits |= _dimension_edit(model.data, value, before, after, first=value.spec.name == _first_axis(layout))
    return edits


def _first_axis(layout: HeadLayout) -> str:
    """Name of the weights where the classes are their first dimension, "" elsewhere."""
    return layout.layer.weights.tensor.name if layout.layer.transposed else ""


def _written_after(model: OnnxModel, names: set[str]) -> set[str]:
    """The tensors `names` and all that is computed from them."""
    found = set(names)
    for node in model.nodes:
        # The order of the file is that of execution.
        if found.intersection(node.inputs) or found.intersection(node.outer_names):
            found.update(name for name in node.outputs if name)
    return found


def _dimension_edit(data: bytes, value: Value, before: int, after: int, *, first: bool = False) -> dict[Span, bytes]:
    """The edit of the dimension of `before`, the last of that size if there are several; none where none is told."""
    sizes = [
        size.span
        for kind in _inner(data, [value.span], (2, 1, 2))
        for size in _sizes(data, kind)
        if size.number == 1 and read_integer(size) == before
    ]
    if not sizes:
        return {}
    return {sizes[0 if first else -1]: encode_integer(1, after)}


def _inner(data: bytes, spans: list[Span], path: tuple[int, ...]) -> list[Span]:
    """Where the messages at `path` of field numbers lie in the fields at `spans`."""
    messages = [read_message(field) for span in spans for field in read_fields(data, span)]
    for number in path:
        messages = [
            read_message(field)
            for message in messages
            for field in read_fields(data, message)
            if field.number == number
        ]
    return messages


def _sizes(data: bytes, shape: Span) -> Iterator[Any]:
    """The fields of each dimension of a TensorShapeProto."""
    for dimension in read_fields(data, shape):
        if dimension.number == 1:
            yield from read_fields(data, read_message(dimension))


def _label_edits(model: OnnxModel, labels: tuple[str, ...]) -> tuple[dict[Span, bytes], bytes]:
    """What takes the old names out of metadata_props, and the field with the new ones, for the end of the file."""
    edits: dict[Span, bytes] = {}
    for field in read_fields(model.data, (0, len(model.data))):
        if field.number == _METADATA_PROPS:
            keys = [part for part in read_fields(model.data, read_message(field)) if part.number == 1]
            if keys and read_text(model.data, keys[0]) == LABELS:
                edits[field.span] = b""
    names = json.dumps(list(labels), ensure_ascii=False)
    return edits, encode_delimited(_METADATA_PROPS, encode_text(1, LABELS) + encode_text(2, names))
