"""What about a `.tflite` file some runtimes compute in another way than LiteRT, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import NO_TENSOR, Operator, has_hybrid_per_channel_dense, read_tflite
from edge_cnn.device.tflite.tensor import Tensor

INT4_DEQUANTIZE_VERSION = 6
"""Version of DEQUANTIZE that brought 4-bit codes."""

_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


def is_hybrid(artifact: Artifact) -> bool:
    """Whether an operator takes float samples and integer weights, quantizing the samples as they come.

    Raises:
        ModelError: damaged.
    """
    return any(
        operator.name in _WEIGHTED
        and any(tensor.dtype == "float32" for tensor in inputs)
        and any(tensor.dtype in ("int8", "uint8", "int4") for tensor in inputs)
        for operator, inputs in _operators(artifact)
    )


def has_blockwise_dense(artifact: Artifact) -> bool:
    """Whether a FULLY_CONNECTED has weights with one scale for each block of a row. Raises: ModelError: damaged."""
    return any(
        operator.name == "FULLY_CONNECTED" and any(t.quantization and t.quantization.has_details for t in inputs)
        for operator, inputs in _operators(artifact)
    )


def has_hidden_int4_dense(artifact: Artifact) -> bool:
    """Whether a FULLY_CONNECTED takes float samples and int4 weights with one scale a class, at a version before that.

    Raises:
        ModelError: damaged.
    """
    return has_hybrid_per_channel_dense(artifact) and any(
        operator.name == "FULLY_CONNECTED" and any(t.dtype == "int4" for t in inputs)
        for operator, inputs in _operators(artifact)
    )


def needed_op_versions(artifact: Artifact) -> list[tuple[str, int]]:
    """(operator, version), sorted: what the file states, and more where its types are newer than what it states.

    AI Edge Quantizer leaves every operator at version 1, whatever it makes of it.

    Raises:
        ModelError: damaged.
    """
    found: set[tuple[str, int]] = set()
    for operator, inputs in _operators(artifact):
        version = operator.version
        if operator.name == "DEQUANTIZE" and any(tensor.dtype == "int4" for tensor in inputs):
            version = max(version, INT4_DEQUANTIZE_VERSION)
        found.add((operator.name, version))
    return sorted(found)


def has_per_channel_dequantize(artifact: Artifact) -> bool:
    """Whether a DEQUANTIZE has one scale a channel, as weight-only quantization makes. Raises: ModelError: damaged."""
    return any(
        operator.name == "DEQUANTIZE" and any(_count_scales(tensor) > 1 for tensor in inputs)
        for operator, inputs in _operators(artifact)
    )


def _operators(artifact: Artifact) -> Iterator[tuple[Operator, list[Tensor]]]:
    for graph in read_tflite(artifact).subgraphs:
        for operator in graph.operators:
            yield operator, [graph.tensors[i] for i in operator.inputs if i != NO_TENSOR]


def _count_scales(tensor: Tensor) -> int:
    scales = tensor.quantization.scales if tensor.quantization else None
    return 0 if scales is None else len(scales)
