"""Rules of the Edge TPU: what its compiler maps (coral.ai/docs/edgetpu/models-intro, "Model requirements")."""

from __future__ import annotations

from converters.constraints.tflite_graph import LAYERS, constants, foreign_operators, graph_ends, operators
from converters.constraints.window_options import fused_activation, read_window
from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import NO_TENSOR, read_tflite

MAX_CLASSES = 16_000

_EDGETPU_OPERATORS_NAMES = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED L2_NORMALIZATION LOGISTIC
LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PACK PAD PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1
RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE SQUEEZE
STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV
"""
EDGETPU_OPERATORS = frozenset(_EDGETPU_OPERATORS_NAMES.split())


def operators_of_edgetpu(artifact: Artifact) -> list[str]:
    """Every operator is one that the Edge TPU's compiler maps."""
    return foreign_operators(artifact, EDGETPU_OPERATORS)


def one_sample_at_a_time(artifact: Artifact) -> list[str]:
    """The batch is 1 and fixed in the file."""
    return [
        f"{tensor.name} of shape {list(tensor.spec.shape)}"
        for tensor in graph_ends(artifact)
        if tensor.spec.shape and tensor.spec.shape[0] != 1
    ]


def three_dimensions(artifact: Artifact) -> list[str]:
    """Activations are larger than 1 in their three innermost dimensions only."""
    held = {tensor.index for tensor in constants(artifact)}
    return [
        f"{tensor.name} of shape {list(tensor.shape)}"
        for tensor in read_tflite(artifact).main.tensors
        if tensor.index not in held and any(size > 1 for size in tensor.shape[:-3])
    ]


def parameters_are_constant(artifact: Artifact) -> list[str]:
    """Weights and biases of layers are constants of the file."""
    held = {tensor.index for tensor in constants(artifact)}
    graph = read_tflite(artifact).main
    return [
        f"{graph.tensors[index].name} of {operator.name}"
        for operator in graph.operators
        if operator.name in LAYERS
        for index in operator.inputs[1 : 2 if operator.name == "TRANSPOSE_CONV" else 3]
        if index != NO_TENSOR and index not in held
    ]


def no_fused_activation_in_pools(artifact: Artifact) -> list[str]:
    """Poolings and concatenations have no fused activation."""
    names = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION")
    return [
        f"{operator.name} with {fused_activation(operator)}"
        for operator, _ in operators(artifact)
        if operator.name in names and fused_activation(operator) != "NONE"
    ]


def equal_dilations(artifact: Artifact) -> list[str]:
    """A convolution is dilated by the same factor in height and width."""
    windows = ((operator.name, read_window(operator)) for operator, _ in operators(artifact))
    return [
        f"{name} dilated by {window.dilations[0]} x {window.dilations[1]}"
        for name, window in windows
        if window is not None and window.dilations[0] != window.dilations[1]
    ]


def short_softmax(artifact: Artifact) -> list[str]:
    """SOFTMAX is over one dimension of at most 16,000 classes."""
    return [
        f"SOFTMAX of shape {list(tensors[0].shape)}"
        for operator, tensors in operators(artifact)
        if operator.name == "SOFTMAX"
        and (any(size > 1 for size in tensors[0].shape[:-1]) or max(tensors[0].shape, default=0) > MAX_CLASSES)
    ]
