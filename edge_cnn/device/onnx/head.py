"""Take the last layer out of an `.onnx` classifier, and write a new one back into the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.head.fit import check_fit
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.split_model import HeadInfo, SplitModel
from edge_cnn.device.onnx.constants import write_constants
from edge_cnn.device.onnx.file import OnnxModel, read_onnx
from edge_cnn.device.onnx.head_layout import HeadLayout
from edge_cnn.device.onnx.head_search import ends_with_softmax, find_head
from edge_cnn.device.onnx.head_slots import head_slots
from edge_cnn.device.onnx.quantizer import codes_dtype, quantizer_params
from edge_cnn.device.onnx.subgraph import cut_graph


def split_onnx_head(artifact: Artifact) -> SplitModel:
    """Find the final Gemm, MatMul or 1x1 Conv and cut the file before and after it.

    Raises:
        NoHeadError: the graph does not end with one; the message says what it ends with.
        ModelError: the file is damaged or uses a feature that the surgery does not know.
    """
    model = read_onnx(artifact)
    layout = find_head(model)
    layer, info = layout.layer, _describe_head(model, layout)
    stored = layer.weights.real_values(model)
    weights = stored.reshape(layer.classes, -1) if layer.transposed else np.ascontiguousarray(stored.T)
    bias = np.zeros(info.classes, np.float32)
    if layout.bias is not None:
        bias = layout.bias.real_values(model).reshape(-1)
    spatial = (1, 1) if layer.is_convolution else ()
    embedding, logits = (replace(spec, shape=(*spec.shape, *spatial)) for spec in (info.embedding, info.logits))
    return SplitModel(
        cut_graph(artifact, model, embedding), cut_graph(artifact, model, logits), SoftmaxHead(weights, bias), info
    )


def merge_onnx_head(artifact: Artifact, head: SoftmaxHead, logits_range: tuple[float, float]) -> Artifact:
    """Write `head` into a copy of the file, in the types and the granularity that its last layer has.

    Args:
        artifact: the original file.
        head: as many classes and features as the file's own.
        logits_range: smallest and largest logit that the new head gives on representative embeddings.

    Raises:
        NoHeadError, ModelError: as `split_onnx_head`; also when the head does not fit or is not finite.
    """
    model = read_onnx(artifact)
    layout = find_head(model)
    info = _describe_head(model, layout)
    check_fit(artifact.name, info.classes, info.features, head, logits_range)
    slots = head_slots(model, layout, info, head, logits_range)
    return replace(artifact, data=write_constants(model, slots))


def onnx_has_softmax(artifact: Artifact) -> bool:
    """Whether the graph's output is a softmax, so a probability. Raises: ModelError: the file is damaged."""
    return ends_with_softmax(read_onnx(artifact))


def _describe_head(model: OnnxModel, layout: HeadLayout) -> HeadInfo:
    layer, weights = layout.layer, layout.layer.weights
    float_dtype = weights.float_dtype(model)
    embedding = TensorSpec(layer.embedding, (-1, layer.features), float_dtype)
    if layer.embedding_quantizer is not None:
        params = quantizer_params(model, layer.embedding_quantizer)
        embedding = replace(embedding, dtype=codes_dtype(model, layer.embedding_quantizer), quantization=params)
    logits = TensorSpec(layout.result, (-1, layer.classes), float_dtype)
    if layout.logits_codes is not None:
        params = quantizer_params(model, layout.logits[0])
        logits = TensorSpec(layout.logits_codes, logits.shape, codes_dtype(model, layout.logits[0]), params)
    params = weights.params
    if params is not None and params.axis is not None:
        params = replace(params, axis=layer.class_axis)
    return HeadInfo(
        layer.node.name or layout.result,
        layer.node.op,
        layer.features,
        layer.classes,
        embedding,
        logits,
        weights.codes_dtype(model) if weights.quantizers else weights.tensor.dtype,
        params,
    )
