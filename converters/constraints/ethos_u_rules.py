"""Rules of Arm's Ethos-U: what Vela 5.2 places on the accelerator (`vela --supported-ops-report`)."""

from __future__ import annotations

from converters.constraints.tflite_graph import LAYERS, constants, foreign_operators, operators, weights
from converters.constraints.window_options import Window, read_window
from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.tensor import Tensor

MAX_STRIDE = 3

_ETHOS_U_OPERATORS_NAMES = """
ABS ADD ARG_MAX AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D ELU EXP EXPAND_DIMS
FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG PACK PAD
PADV2 PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_V2 RSQRT SLICE SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM
TANH TILE TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
"""
ETHOS_U_OPERATORS = frozenset(_ETHOS_U_OPERATORS_NAMES.split())
"""Of the Ethos-U55 and the Ethos-U65."""

_ETHOS_U85_OPERATORS_NAMES = """
ASSIGN_VARIABLE CAST DIV EQUAL GATHER GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_NOT LOGICAL_OR
NOT_EQUAL READ_VARIABLE REDUCE_ALL REDUCE_ANY SCATTER_ND SELECT SELECT_V2
"""
ETHOS_U85_OPERATORS = ETHOS_U_OPERATORS | frozenset(_ETHOS_U85_OPERATORS_NAMES.split())


def operators_of_ethos_u(artifact: Artifact) -> list[str]:
    """Every operator is one that Vela places on an Ethos-U55 or Ethos-U65."""
    return foreign_operators(artifact, ETHOS_U_OPERATORS)


def operators_of_ethos_u85(artifact: Artifact) -> list[str]:
    """Every operator is one that Vela places on an Ethos-U85."""
    return foreign_operators(artifact, ETHOS_U85_OPERATORS)


def feature_maps_are_integers(artifact: Artifact) -> list[str]:
    """Activations are int8, uint8, int16 or int32, which leaves out dynamic range (Vela)."""
    held = {tensor.index for tensor in constants(artifact)}
    return [
        f"{tensor.name} of type {tensor.dtype}"
        for tensor in read_tflite(artifact).main.tensors
        if tensor.index not in held and tensor.dtype not in ("int8", "uint8", "int16", "int32")
    ]


def eight_bit_weights(artifact: Artifact) -> list[str]:
    """Weights of layers are constants of 8 bits (Vela 5.2 crashes on 4)."""
    held = {tensor.index for tensor in constants(artifact)}
    return [
        f"{tensor.name} of type {tensor.dtype}" if tensor.index in held else f"{tensor.name}, which is computed"
        for _, tensor in weights(artifact)
        if tensor.dtype not in ("int8", "uint8") or tensor.index not in held
    ]


def scale_a_channel_in_layers_only(artifact: Artifact) -> list[str]:
    """Only weights and biases of layers have a scale for each channel (Vela)."""
    return list(
        dict.fromkeys(
            f"{tensor.name} of {operator.name}"
            for operator, tensors in operators(artifact)
            if operator.name not in LAYERS
            for tensor in tensors
            if tensor.params is not None and len(tensor.params.scales) > 1
        )
    )


def strides_of_ethos_u(artifact: Artifact) -> list[str]:
    """Strides are at most 3; beyond, but for depthwise, to an output of 1 or without padding and dilation (Vela)."""
    found: list[str] = []
    for operator, tensors in operators(artifact):
        window = read_window(operator)
        if window is None or max(window.strides) <= MAX_STRIDE:
            continue
        if operator.name == "DEPTHWISE_CONV_2D" or not _keeps_far_strides(window, tensors):
            found.append(f"{operator.name} with strides {window.strides[0]} x {window.strides[1]}")
    return found


def _keeps_far_strides(window: Window, tensors: list[Tensor]) -> bool:
    """Measured with Vela 5.2: a stride counts where the output is larger than 1, padding where any is added."""
    image, out = tensors[0].shape[1:3], tensors[-1].shape[1:3]
    if all(size == 1 or stride <= MAX_STRIDE for size, stride in zip(out, window.strides, strict=True)):
        return True
    size = window.pool_size or tensors[1].shape[1:3]
    covered = (-(-length // stride) * stride - stride for length, stride in zip(image, window.strides, strict=True))
    adds = window.is_padded and any(
        start + side > length for start, side, length in zip(covered, size, image, strict=True)
    )
    return window.dilations == (1, 1) and not adds
