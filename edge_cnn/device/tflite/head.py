"""Take the last layer out of a `.tflite` classifier, and write a new one back into the same bytes."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.head.fit import check_fit
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.split_model import HeadInfo, SplitModel
from edge_cnn.device.tflite.file import Operator, Subgraph, TfliteModel, read_tflite
from edge_cnn.device.tflite.flatbuffer import damaged
from edge_cnn.device.tflite.head_layout import FLOATS, HeadLayout, read_constant
from edge_cnn.device.tflite.head_patches import head_patches
from edge_cnn.device.tflite.head_search import ends_with_softmax, find_head
from edge_cnn.device.tflite.tensor import Tensor


def split_tflite_head(artifact: Artifact) -> SplitModel:
    """Find the last layer and make graphs that end before and after it, in copies of the same bytes.

    Raises:
        NoHeadError: the graph ends with no FULLY_CONNECTED or 1x1 CONV_2D; the message says what it ends with.
        ModelError: the file is damaged.
    """
    model = read_tflite(artifact)
    layout = find_head(model)
    after = (*layout.tail, *layout.shape_operators)
    return SplitModel(
        _end_at(artifact, model, layout.embedding, (*_private_widening(model, layout), layout.operator, *after)),
        _end_at(artifact, model, layout.logits, after),
        _real_head(model, layout),
        HeadInfo(
            layout.logits.name,
            layout.operator.name,
            layout.features,
            layout.classes,
            replace(layout.embedding.spec, shape=(-1, layout.features)),
            replace(layout.logits.spec, shape=(-1, layout.classes)),
            layout.weights.dtype,
            layout.weights.params if layout.weights.dtype not in FLOATS else None,
        ),
    )


def merge_tflite_head(artifact: Artifact, head: SoftmaxHead, logits_range: tuple[float, float]) -> Artifact:
    """Write `head` into a copy of the file, in the types and the granularity that its last layer has.

    Args:
        artifact: the original file.
        head: as many classes and features as the file's own.
        logits_range: smallest and largest logit that the new head gives on representative embeddings.

    Raises:
        NoHeadError, ModelError: as `split_tflite_head`; also when the head does not fit, is not finite, or would
            have to be written where another tensor lies as well.
    """
    model = read_tflite(artifact)
    layout = find_head(model)
    check_fit(artifact.name, layout.classes, layout.features, head, logits_range)
    data = bytearray(artifact.data)
    for patch in head_patches(model, layout, head, logits_range):
        data[patch.span[0] : patch.span[1]] = patch.content
    return replace(artifact, data=bytes(data))


def tflite_has_softmax(artifact: Artifact) -> bool:
    """Whether the graph's output is a softmax, so a probability. Raises: ModelError: the file is damaged."""
    return ends_with_softmax(read_tflite(artifact))


def _real_head(model: TfliteModel, layout: HeadLayout) -> SoftmaxHead:
    # What a damaged file makes of this is looked at below.
    with np.errstate(over="ignore", invalid="ignore"):
        weights = read_constant(model, layout.weights).reshape(layout.classes, -1).astype(np.float64)
        bias = np.zeros(layout.classes)
        if layout.bias is not None:
            bias = read_constant(model, layout.bias).reshape(-1).astype(np.float64)
        if layout.weights.dtype not in FLOATS:
            params = layout.weights.params
            assert params is not None
            scales = np.asarray(params.scales)
            weights = (weights - np.asarray(params.zero_points)[:, None]) * scales[:, None]
            if layout.bias is not None and layout.bias.dtype not in FLOATS:
                embedding = layout.embedding.params
                assert embedding is not None
                # Not the stored bias scale: kernels add the codes to the sum of products, whatever it says.
                bias = bias * embedding.scale * scales
        head = SoftmaxHead(weights.astype(np.float32), bias.astype(np.float32))
    if not (np.isfinite(head.weights).all() and np.isfinite(head.bias).all()):
        raise damaged(f"the last layer ({layout.logits.name!r}) holds NaN or infinity")
    return head


def _private_widening(model: TfliteModel, layout: HeadLayout) -> tuple[Operator, ...]:
    """DEQUANTIZE operators that nothing but the layer needs."""
    consumers = model.main.consumers
    return tuple(
        op
        for op in layout.widening
        if all(reader is layout.operator for tensor in op.outputs for reader in consumers.get(tensor, []))
    )


def _end_at(artifact: Artifact, model: TfliteModel, output: Tensor, dropped: tuple[Operator, ...]) -> Artifact:
    """A copy of the file whose graph has `output` as its only output and no longer runs the `dropped` operators."""
    graph = model.main
    (old,) = graph.outputs
    data = bytearray(artifact.data)
    assert graph.output_vector is not None
    struct.pack_into("<i", data, graph.output_vector.start, output.index)
    for signature in model.signatures:
        for endpoint in signature.outputs:
            if signature.subgraph == 0 and endpoint.tensor == old != output.index:
                if endpoint.position is None:
                    raise ModelError(
                        f"{artifact.name}: output {endpoint.name!r} of signature {signature.key!r} is not stored, "
                        "so it cannot be changed; export the model again without signatures"
                    )
                struct.pack_into("<I", data, endpoint.position, output.index)
    _drop_operators(data, graph, {operator.index for operator in dropped})
    return replace(artifact, data=bytes(data))


def _drop_operators(data: bytearray, graph: Subgraph, dropped: set[int]) -> None:
    """Shorten the vector of operators in place."""
    vector = graph.operator_vector
    assert vector is not None
    kept = [i for i in range(len(vector)) if i not in dropped]
    offsets = vector.array().astype(np.int64)
    # An offset counts from its own slot, so it grows by as much as the slot moves towards the front.
    moved = np.array([offsets[old] + 4 * (old - new) for new, old in enumerate(kept)], np.int64)
    if len(moved) and moved.max() >= 2**32:
        raise damaged("an operator lies beyond 4 GB")
    struct.pack_into("<I", data, vector.start - 4, len(kept))
    data[vector.start : vector.start + 4 * len(kept)] = moved.astype("<u4").tobytes()
