"""Give the last layer of a `.tflite` file more classes or fewer, or the same in another order.

The file stays the same format with the same operators. What has one entry a class gets its new length: weights, bias,
their scales, and every shape and reshape from the layer to the output. Classes that stay keep their codes, so that the
integer graph gives the same codes for them. A new class gets weights of 0 and the lowest bias, so that the file answers
as before until the class is taught.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.head.class_change import ClassChange
from edge_cnn.device.head.quantization import BIAS_LIMIT, FLOAT_FLOOR
from edge_cnn.device.tflite.file import IDENTIFIER, TfliteModel, read_tflite
from edge_cnn.device.tflite.flatbuffer import Span, Vector, read_root
from edge_cnn.device.tflite.flatbuffer_appendix import Appendix
from edge_cnn.device.tflite.head_layout import FLOATS, HeadLayout, read_constant
from edge_cnn.device.tflite.head_patches import Patch, check_unshared
from edge_cnn.device.tflite.head_search import find_head
from edge_cnn.device.tflite.int4_codes import pack_int4
from edge_cnn.device.tflite.label_file import join_archive, label_lines, split_archive
from edge_cnn.device.tflite.label_writing import LABELS_FILE, name_label_file
from edge_cnn.device.tflite.metadata import ENTRY, label_file_names
from edge_cnn.device.tflite.schema import RESHAPE_OPTIONS
from edge_cnn.device.tflite.tensor import Tensor

_BUFFER_ALIGNMENT = 16
"""`force_align: 16` in the TFLite schema: kernels read weights from the file in place, some with aligned loads."""


def resize_tflite_head(artifact: Artifact, change: ClassChange) -> Artifact:
    """A copy of the file with the classes of `change`, their names in its label files.

    Raises:
        NoHeadError, ModelError: as `split_tflite_head`; also when the layer has no bias to hold a new class down, or
            another tensor lies in the bytes that would change.
    """
    flatbuffer, members = split_archive(artifact.data)
    model = read_tflite(replace(artifact, data=flatbuffer))
    layout = find_head(model)
    if layout.classes != change.before:
        raise ModelError(
            f"{artifact.name} has {layout.classes} classes, the change is from {change.before}; name the file's own"
        )
    if change.added and layout.bias is None:
        raise ModelError(
            f"the last layer ({layout.logits.name!r}) has no bias, which a new class needs; "
            "export a model whose Dense layer has a bias"
        )
    resizing = _Resizing(model, layout, change)
    resizing.resize_parameters()
    resizing.resize_shapes()
    data, names = bytes(resizing.appendix.data), label_file_names(model)
    if not names and not any(name == ENTRY for name, _ in model.metadata):
        data, names = name_label_file(data), (LABELS_FILE,)
    members |= dict.fromkeys(names, label_lines(change.labels))
    return replace(artifact, data=join_archive(data, members))


class _Resizing:
    """The work on one file: what is read from the original goes, changed, into the appendix."""

    def __init__(self, model: TfliteModel, layout: HeadLayout, change: ClassChange) -> None:
        root = read_root(model.data, IDENTIFIER)
        self.model, self.layout, self.change = model, layout, change
        self.appendix = Appendix(bytes(model.data))
        self._tensors = root.tables(2)[0].tables(0)
        self._buffers = root.tables(4)

    def resize_parameters(self) -> None:
        """Weights, bias and their quantization."""
        layout, model = self.layout, self.model
        self._check_unshared()
        weights = layout.weights
        zero: Any = 0
        if weights.dtype not in FLOATS:
            assert weights.params is not None
            zero = weights.params.zero_points[0]
        self._resize_constant(weights, self.change.rows(read_constant(model, weights), np.asarray(zero)))
        new_scale = self._resize_quantization(weights)
        if layout.bias is None:
            return
        stored = read_constant(model, layout.bias).reshape(-1)
        if layout.bias.dtype in FLOATS:
            lowest: Any = FLOAT_FLOOR
        else:
            embedding, logits = layout.embedding.params, layout.logits.params
            assert embedding is not None
            assert logits is not None
            levels = 2 ** (16 if layout.logits.dtype == "int16" else 8)
            # More than the whole range below 0: the code saturates at the lowest, whatever the zero point.
            lowest = -min(math.ceil(levels * logits.scale / (embedding.scale * new_scale)), BIAS_LIMIT)
        self._resize_constant(layout.bias, self.change.rows(stored, np.asarray(lowest)))
        self._resize_quantization(layout.bias)

    def resize_shapes(self) -> None:
        """Shapes from the logits to the output, and what reshapes are told."""
        before, after = self.layout.classes, len(self.change.sources)
        graph = self.model.main
        written = [graph.tensors[index] for operator in self.layout.tail for index in operator.outputs]
        widened = [graph.tensors[index] for operator in self.layout.widening for index in operator.outputs]
        for tensor in (self.layout.logits, *written):
            self._resize_shape(tensor)
        for tensor in widened:
            self._resize_shape(tensor, first=True)
        for operator in self.layout.tail:
            if operator.name != "RESHAPE":
                continue
            options = operator.options(RESHAPE_OPTIONS)
            told = options.vector(0, "<i4") if options else None
            if options is not None and told is not None and before in told.array():
                self.appendix.replace(options, 0, _with_size(told.array(), before, after))
            for index in operator.inputs[1:2]:
                self._resize_told_shape(graph.tensors[index])
        for operator in self.layout.shape_operators:
            if operator.name == "PACK":
                for index in operator.inputs:
                    self._resize_told_shape(graph.tensors[index])

    def _resize_constant(self, tensor: Tensor, values: NDArray[Any]) -> None:
        table, span = self._buffers[tensor.buffer], self.model.constant(tensor)
        packed = pack_int4(values) if tensor.dtype == "int4" else values
        content = np.frombuffer(packed.astype(packed.dtype.newbyteorder("<")).tobytes(), np.uint8)
        assert span is not None
        if table.field(0, 4) is None:
            raise ModelError(
                f"{tensor.name!r} is kept behind the model, as in files beyond 2 GB; such a file cannot be resized"
            )
        if len(content) <= span[1] - span[0]:
            self.appendix.shorten(span[0], content)
        else:
            self.appendix.replace(table, 0, content, alignment=_BUFFER_ALIGNMENT)
        self._resize_shape(tensor, first=True)

    def _resize_quantization(self, tensor: Tensor) -> float:
        """Quantization with one value a class gets its new length; the scale of a new class is returned."""
        stored, table = tensor.quantization, self._tensors[tensor.index].table(4)
        if stored is None or table is None or stored.scales is None:
            return 1.0
        scales = stored.scales.array()
        # Weights and bias of a new class take the scales of one and the same old class.
        place = int(np.argmax(self._weight_scales())) if len(scales) == self.layout.classes else 0
        new_scale = float(scales[place])
        fills = ((stored.minimum, 0.0), (stored.maximum, 0.0), (stored.scales, new_scale), (stored.zero_points, None))
        for field, (vector, fill) in enumerate(fills):
            if vector is not None and len(vector) == self.layout.classes > 1:
                values = vector.array()
                rows = self.change.rows(values, values[0] if fill is None else np.asarray(fill))
                self.appendix.replace(table, field, rows)
        return new_scale

    def _weight_scales(self) -> NDArray[Any]:
        stored = self.layout.weights.quantization
        assert stored is not None
        assert stored.scales is not None
        scales = stored.scales.array()
        return scales if len(scales) > 1 else np.zeros(self.layout.classes)

    def _resize_shape(self, tensor: Tensor, *, first: bool = False) -> None:
        table = self._tensors[tensor.index]
        for field, shape in ((0, tensor.shape), (7, tensor.shape_signature)):
            if shape:
                sizes = np.array(shape, np.int32)
                if self.layout.classes not in sizes:
                    raise ModelError(
                        f"{tensor.name!r} of shape {list(shape)} has no dimension of {self.layout.classes} classes, so "
                        "it cannot take another number of them; export the model without what reshapes its scores"
                    )
                self.appendix.replace(table, field, self._resized(sizes, first=first))

    def _resized(self, sizes: NDArray[np.int32], *, first: bool) -> NDArray[np.int32]:
        return _with_size(sizes, self.layout.classes, len(self.change.sources), first=first)

    def _resize_told_shape(self, tensor: Tensor) -> None:
        """A constant that tells a reshape the number of classes."""
        span = self.model.constant(tensor)
        if span is None or tensor.dtype != "int32" or (span[1] - span[0]) % 4:
            return
        values = np.frombuffer(self.model.data, "<i4", (span[1] - span[0]) // 4, span[0])
        if self.layout.classes not in values:
            return
        owners = [t for graph in self.model.subgraphs for t in graph.tensors if t.buffer == tensor.buffer]
        known = {op.index for op in (*self.layout.tail, *self.layout.shape_operators)}
        readers = [op for op in self.model.main.consumers.get(tensor.index, []) if op.index not in known]
        if len(owners) > 1 or readers:
            other = readers[0].name if readers else next(t.name for t in owners if t is not tensor)
            raise ModelError(
                f"{tensor.name!r} tells how the scores are reshaped, and {other!r} needs it as well; "
                "export the model again without sharing"
            )
        self.appendix.shorten(span[0], _bytes_of(self._resized(values, first=False)))

    def _check_unshared(self) -> None:
        """As for new values in the same room: what changes must belong to the layer alone."""
        patches: list[Patch] = []
        for tensor in filter(None, (self.layout.weights, self.layout.bias)):
            spans: list[Span | None] = [self.model.constant(tensor)]
            if tensor.quantization is not None:
                vectors: list[Vector] = list(tensor.quantization.vectors())
                spans += [v.span for v in vectors if len(v) == self.layout.classes]
            # The contents differ, so that no two of them may lie in one place.
            patches += [Patch(tensor.index, span, bytes([len(patches) % 256])) for span in spans if span is not None]
        check_unshared(self.model, self.layout, patches)


def _with_size(sizes: NDArray[Any], before: int, after: int, *, first: bool = False) -> NDArray[np.int32]:
    """A shape with the first or last dimension of `before` changed to `after`."""
    result = sizes.astype(np.int32)
    places = np.flatnonzero(result == before)
    result[places[0 if first else -1]] = after
    return result


def _bytes_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(values.astype("<i4").tobytes(), np.uint8)
