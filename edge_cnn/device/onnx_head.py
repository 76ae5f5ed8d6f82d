"""Take the last layer out of an `.onnx` classifier, and write a new one back into the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.head_fit import check_fit
from edge_cnn.device.onnx_constants import write_constants
from edge_cnn.device.onnx_file import OnnxModel, read_onnx
from edge_cnn.device.onnx_head_layout import HeadLayout, ends_with_softmax, find_head
from edge_cnn.device.onnx_head_slots import head_slots
from edge_cnn.device.onnx_parameter import QUANTIZE, Parameter, codes_dtype, quantizer_params
from edge_cnn.device.onnx_subgraph import cut_graph
from edge_cnn.device.softmax_head import SoftmaxHead
from edge_cnn.device.split_model import HeadInfo, SplitModel


def split_onnx_head(artifact: Artifact) -> SplitModel:
    """Find the final Gemm or MatMul and cut the file before and after it.

    Raises:
        NoHeadError: the graph does not end with one; the message says what it ends with.
        ModelError: the file is damaged or uses a feature that the surgery does not know.
    """
    model = read_onnx(artifact)
    layout = find_head(model)
    info = _describe_head(model, layout)
    stored = layout.weights.real_values(model)
    weights = np.ascontiguousarray(stored if layout.transposed else stored.T)
    bias = np.zeros(info.classes, np.float32)
    if layout.bias is not None:
        bias = layout.bias.real_values(model).reshape(-1)
    return SplitModel(
        cut_graph(artifact, model, info.embedding),
        cut_graph(artifact, model, info.logits),
        SoftmaxHead(weights, bias),
        info,
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
    weights = layout.weights
    class_axis = 0 if layout.transposed else 1
    classes, features = weights.tensor.dims[class_axis], weights.tensor.dims[1 - class_axis]
    float_dtype = _float_dtype(model, weights)
    embedding = TensorSpec(layout.embedding, (-1, features), float_dtype)
    if layout.embedding_node is not None:
        params = quantizer_params(model, layout.embedding_node)
        embedding = replace(embedding, dtype=codes_dtype(model, layout.embedding_node), quantization=params)
    logits = TensorSpec(layout.result, (-1, classes), float_dtype)
    if layout.logits and layout.logits[0].op == QUANTIZE and layout.logits[0].input(0) == layout.result:
        node = layout.logits[0]
        params = quantizer_params(model, node)
        logits = TensorSpec(node.outputs[0], (-1, classes), codes_dtype(model, node), params)
    params = weights.params
    if params is not None and params.axis is not None:
        params = replace(params, axis=class_axis)
    return HeadInfo(
        layout.node.name or layout.result,
        layout.node.op,
        features,
        classes,
        embedding,
        logits,
        codes_dtype(model, weights.quantizers[0]) if weights.quantizers else weights.tensor.dtype,
        params,
    )


def _float_dtype(model: OnnxModel, weights: Parameter) -> str:
    """What the layer computes in: the type of its weights, or of what a DQ makes of them."""
    if weights.quantizers:
        return model.constants[weights.quantizers[0].input(1)].tensor.dtype
    return weights.tensor.dtype
