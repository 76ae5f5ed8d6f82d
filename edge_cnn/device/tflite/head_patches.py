"""What a new last layer becomes in a `.tflite` file: codes, scales and zero points, in the bytes of the old ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError
from edge_cnn.core.quantization import QuantizationParams, quantize
from edge_cnn.device.head.quantization import BIAS_LIMIT, bias_params, logits_params, quantize_weights
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.tflite.file import TfliteModel
from edge_cnn.device.tflite.flatbuffer import Span, Vector
from edge_cnn.device.tflite.head_layout import FLOATS, HeadLayout
from edge_cnn.device.tflite.int4_codes import INT4_LIMIT, pack_int4
from edge_cnn.device.tflite.tensor import Tensor

_SMALLEST_MULTIPLIER = 2.0**-24
"""Smallest embedding scale x weight scale / logit scale: kernels shift by at most 31 bits. A weight that falls below a
step of it moves no logit by more than a few hundredths of a step."""


@dataclass(frozen=True)
class Patch:
    """New bytes for a place in the file.

    Attributes:
        tensor: index in the main graph of the tensor that they belong to.
        span: where they go, as many bytes as `content`.
        content: the new bytes.
    """

    tensor: int
    span: Span
    content: bytes


# What goes beyond the types is found where it is written, with a message instead of a warning.
@np.errstate(over="ignore", invalid="ignore")
def head_patches(
    model: TfliteModel, layout: HeadLayout, head: SoftmaxHead, logits_range: tuple[float, float]
) -> list[Patch]:
    """All that must change for the layer to compute `head`.

    Args:
        model, layout: the file and its last layer.
        head: finite, as many classes and features as the file's own.
        logits_range: smallest and largest logit of the new head.

    Raises:
        ModelError: the file's types cannot hold the head, or another tensor lies in the same bytes.
    """
    weights, bias = np.asarray(head.weights, np.float64), np.asarray(head.bias, np.float64)
    low, high = float(logits_range[0]), float(logits_range[1])
    symmetric = any(_is_symmetric(tensor) for tensor in layout.same_values)
    patches: list[Patch] = []
    for tensor in layout.same_values:
        if tensor.dtype != "float32":
            patches += _logits_patches(tensor, low, high, symmetric=symmetric)
    params = None
    if layout.weights.dtype in FLOATS:
        patches.append(_values_patch(model, layout.weights, weights))
    else:
        weight_patches, params = _weight_patches(model, layout, weights, bias, low, high, symmetric=symmetric)
        patches += weight_patches
    if layout.bias is None:
        _check_negligible(layout, bias, low, high)
    elif layout.bias.dtype in FLOATS:
        patches.append(_values_patch(model, layout.bias, bias))
    else:
        patches += _bias_patches(model, layout, layout.bias, bias, params)
    changes = [p for p in patches if bytes(model.data[p.span[0] : p.span[1]]) != p.content]
    check_unshared(model, layout, changes)
    return changes


def _is_symmetric(tensor: Tensor) -> bool:
    """Whether the zero point must be 0: 16-bit kernels ask for it, and what the file leaves out cannot be written."""
    if tensor.dtype == "float32":
        return False
    return tensor.dtype == "int16" or tensor.quantization is None or tensor.quantization.zero_points is None


def _logits_patches(tensor: Tensor, low: float, high: float, *, symmetric: bool) -> Iterator[Patch]:
    dtype = np.dtype(tensor.dtype)
    if symmetric and dtype.kind == "u":
        raise ModelError(
            f"{tensor.name!r} is {tensor.dtype} and the file has no zero point to change; export the model as int8"
        )
    params = logits_params(low, high, dtype, symmetric=symmetric)
    limits = np.iinfo(dtype)
    ends = [(int(code) - params.zero_point) * params.scale for code in (limits.min, limits.max)]
    yield from _quantization_patches(tensor, params, np.array(ends[:1]), np.array(ends[1:]))


def _weight_patches(
    model: TfliteModel,
    layout: HeadLayout,
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    low: float,
    high: float,
    *,
    symmetric: bool,
) -> tuple[list[Patch], QuantizationParams]:
    tensor, old = layout.weights, layout.weights.params
    assert old is not None
    floors = np.zeros(layout.classes)
    embedding = layout.embedding.params if layout.embedding.dtype != "float32" else None
    if embedding is not None:
        logits = logits_params(low, high, np.dtype(layout.logits.dtype), symmetric=symmetric)
        floors = np.maximum(np.abs(bias) / BIAS_LIMIT, logits.scale * _SMALLEST_MULTIPLIER) / embedding.scale
    limit = INT4_LIMIT if tensor.dtype == "int4" else None
    codes, params = quantize_weights(weights, old.axis == 0, np.dtype(np.int8), floors, limit=limit)
    # Unsigned weights are the same numbers with the zero point in the middle.
    middle = 128 if tensor.dtype == "uint8" else 0
    stored = pack_int4(codes) if limit else (codes.astype(np.int16) + middle).astype(tensor.dtype)
    params = replace(params, zero_points=(middle,) * len(params.scales))
    axis = 1 if old.axis == 0 else None
    lowest, highest = np.atleast_1d(weights.min(axis=axis)), np.atleast_1d(weights.max(axis=axis))
    patches = [_values_patch(model, tensor, stored), *_quantization_patches(tensor, params, lowest, highest)]
    return patches, params


def _bias_patches(
    model: TfliteModel,
    layout: HeadLayout,
    tensor: Tensor,
    bias: NDArray[np.float64],
    weights: QuantizationParams | None,
) -> Iterator[Patch]:
    embedding = layout.embedding.params
    assert embedding is not None
    assert weights is not None
    params = bias_params(embedding.scale, weights)
    yield _values_patch(model, tensor, quantize(bias, params, np.dtype(np.int32)))
    if tensor.quantization is not None and tensor.quantization.scales is not None:
        count = len(tensor.quantization.scales)
        if count not in (1, layout.classes):
            raise ModelError(
                f"the bias {tensor.name!r} has {count} scales for {layout.classes} classes; export it again"
            )
        # Kernels compute with embedding scale x weight scale and look at this one for a check only.
        scales = np.resize(params.scales, count)
        stored = QuantizationParams(tuple(scales.tolist()), (0,) * count, 0 if count > 1 else None)
        ends = bias if count > 1 else np.array([bias.min(), bias.max()])
        yield from _quantization_patches(tensor, stored, ends[:count], ends[-count:])


def _quantization_patches(
    tensor: Tensor, params: QuantizationParams, lowest: NDArray[np.float64], highest: NDArray[np.float64]
) -> Iterator[Patch]:
    """Scales, zero points and, where the converter left them, the smallest and the largest value."""
    stored = tensor.quantization
    assert stored is not None
    scales = np.asarray(params.scales, np.float32)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ModelError(
            f"the new head goes beyond the range of {tensor.name!r}; train it with more L2 or a smaller rate"
        )
    zero_points = np.asarray(params.zero_points, np.int64)
    if stored.zero_points is None and zero_points.any():
        raise ModelError(
            f"{tensor.name!r} is {tensor.dtype} and the file has no zero point to change; export the model as int8"
        )
    rows: tuple[tuple[Vector | None, NDArray[Any]], ...] = (
        (stored.scales, scales),
        (stored.zero_points, zero_points),
        (stored.minimum, lowest),
        (stored.maximum, highest),
    )
    for vector, values in rows:
        if vector is None:
            continue
        if len(vector) == 1 < len(values):
            # One zero point stands for all, and a remark about the whole tensor stays one.
            values = values.min(keepdims=True) if values is not highest else values.max(keepdims=True)
        if len(vector) != len(values):
            raise ModelError(
                f"{tensor.name!r} has {len(vector)} values where {len(values)} belong; export the model again"
            )
        yield Patch(tensor.index, vector.span, values.astype(vector.dtype).tobytes())


def _values_patch(model: TfliteModel, tensor: Tensor, values: NDArray[Any]) -> Patch:
    span = model.constant(tensor)
    assert span is not None
    # Packed codes are bytes already.
    stored = values if tensor.dtype == "int4" else values.astype(np.dtype(tensor.dtype).newbyteorder("<"))
    if not np.isfinite(stored).all():
        raise ModelError(
            f"the new head goes beyond the range of {tensor.name!r}; train it with more L2 or a smaller rate"
        )
    return Patch(tensor.index, span, stored.tobytes())


def _check_negligible(layout: HeadLayout, bias: NDArray[np.float64], low: float, high: float) -> None:
    """A layer without bias takes one that changes no logit by half a step, or by the rounding of a float."""
    step = (high - low) / 255 if layout.logits.dtype != "float32" else 2e-6 * max(abs(low), abs(high))
    if np.abs(bias).max() > step / 2:
        raise ModelError(
            f"the last layer ({layout.logits.name!r}) has no bias, but the new head has one up to "
            f"{np.abs(bias).max():.4g}; export a model whose Dense layer has a bias"
        )


def check_unshared(model: TfliteModel, layout: HeadLayout, changes: list[Patch]) -> None:
    """Files save space by keeping equal bytes once; then a change for one tensor would change another.

    Raises:
        ModelError: a change would reach another tensor.
    """
    for index, patch in enumerate(changes):
        owners = {p.tensor for p in changes if p.span == patch.span and p.content == patch.content}
        clashing = [p for p in changes[:index] if _overlap(p.span, patch.span) and p.tensor not in owners]
        names = [model.main.tensors[p.tensor].name for p in clashing]
        names += [
            name for tensor, span, name in _occupied(model) if tensor not in owners and _overlap(span, patch.span)
        ]
        if names:
            raise ModelError(
                f"{model.main.tensors[patch.tensor].name!r} shares bytes of the file with {names[0]!r}, so a new last "
                "layer would change both; export the model again without sharing"
            )
    own = {operator.index for operator in (layout.operator, *layout.widening)}
    widened = [model.main.tensors[index] for operator in layout.widening for index in operator.outputs]
    for tensor in filter(None, (layout.weights, layout.bias, *widened)):
        others = [op for op in model.main.consumers.get(tensor.index, []) if op.index not in own]
        if others:
            output = model.main.tensors[others[0].outputs[0]].name if others[0].outputs else ""
            raise ModelError(
                f"{tensor.name!r} is read by {others[0].name} ({output!r}) as well, so a new last layer would change "
                "both; export the model again without sharing"
            )


def _occupied(model: TfliteModel) -> Iterator[tuple[int | None, Span, str]]:
    """(index where the tensor is of the main graph, bytes, name) of all that tensors and metadata entries keep."""
    for number, graph in enumerate(model.subgraphs):
        for tensor in graph.tensors:
            owner = tensor.index if number == 0 else None
            spans = [vector.span for vector in tensor.quantization.vectors()] if tensor.quantization else []
            constant = model.constant(tensor)
            for span in [*spans, constant] if constant else spans:
                yield owner, span, tensor.name
    for name, buffer in model.metadata:
        span = model.buffers[buffer]
        if span is not None:
            yield None, span, name


def _overlap(first: Span, second: Span) -> bool:
    return first[0] < second[1] and second[0] < first[1]
