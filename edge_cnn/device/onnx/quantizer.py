"""Where an ONNX graph keeps the scale and the zero point of a tensor: QuantizeLinear (Q) and DequantizeLinear (DQ)
nodes, and inputs of operators that compute with codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_cnn.core.errors import ModelError
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.tensor import DTYPES, StoredTensor

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
QUANTIZER_DOMAINS = ("", "ai.onnx", "com.microsoft")
FLOATS = {"float16", "float32", "float64"}
CODES = {"int8", "uint8", "int16", "uint16", "int32"}

Input = tuple[Node, int]
"""A node and the index of one of its inputs."""


@dataclass(frozen=True)
class Quantizer:
    """Inputs that hold the scale and the zero point of a tensor.

    Attributes:
        node: the operator that quantizes, dequantizes or computes with the codes.
        scale: which input reads the scale.
        zero_point: which input reads the zero point; the file may leave it out, then it is 0.
        axis: the dimension of the tensor that several scales go along.
    """

    node: Node
    scale: Input
    zero_point: Input
    axis: int

    @property
    def has_zero_point(self) -> bool:
        node, index = self.zero_point
        return bool(node.input(index))


def is_quantizer(node: Node) -> bool:
    """Whether it is a QuantizeLinear or DequantizeLinear."""
    return node.op in (QUANTIZE, DEQUANTIZE) and node.domain in QUANTIZER_DOMAINS


def linear_quantizer(node: Node) -> Quantizer:
    """Of a QuantizeLinear or DequantizeLinear."""
    axis = node.attributes.get("axis", 1)
    return Quantizer(node, (node, 1), (node, 2), axis if isinstance(axis, int) else 1)


def operand_quantizer(node: Node, scale: int, axis: int = 1) -> Quantizer:
    """Of an operator that computes with codes: its zero points stand right behind the scales."""
    return Quantizer(node, (node, scale), (node, scale + 1), axis)


def quantizer_params(model: OnnxModel, quantizer: Quantizer) -> QuantizationParams:
    """Scale and zero point.

    Raises:
        ModelError: they are not constants, do not fit each other or are not usable numbers.
    """
    scale = constant_of(model, *quantizer.scale)
    scales = scale.values()
    zero_points = np.zeros(scale.dims, np.int32)
    if quantizer.has_zero_point:
        zero_points = constant_of(model, *quantizer.zero_point).values()
    if zero_points.size == 1 < scales.size:
        zero_points = np.broadcast_to(zero_points.reshape(-1), scales.shape)
    what = quantizer.node.describe()
    sound = scale.dtype in ("float16", "float32") and zero_points.dtype.name in CODES
    if not sound or scales.ndim > 1 or scales.size == 0 or zero_points.size != scales.size:
        raise ModelError(f"{what} is quantized in blocks or in a way edge_cnn does not know; use int8 QDQ")
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ModelError(f"{what} has a scale that is not a positive number; export the model again")
    return QuantizationParams(
        tuple(float(s) for s in scales.reshape(-1)),
        tuple(int(z) for z in zero_points.reshape(-1)),
        quantizer.axis if scales.size > 1 else None,
    )


def codes_dtype(model: OnnxModel, quantizer: Quantizer) -> str:
    """numpy name of the codes: the zero point's type, uint8 by default.

    Raises:
        ModelError: as `quantizer_params`.
    """
    node = quantizer.node
    if quantizer.has_zero_point:
        dtype = constant_of(model, *quantizer.zero_point).dtype
    elif node.op == QUANTIZE and (declared := node.attributes.get("output_dtype")):
        dtype = DTYPES.get(declared, str(declared)) if isinstance(declared, int) else str(declared)
    elif node.op == DEQUANTIZE and (stored := model.constants.get(node.input(0))):
        dtype = stored.tensor.dtype
    elif node.op == DEQUANTIZE and (producer := model.producers.get(node.input(0))) and is_quantizer(producer):
        dtype = codes_dtype(model, linear_quantizer(producer)) if producer.op == QUANTIZE else "uint8"
    else:
        dtype = "uint8"
    if dtype not in CODES:
        raise ModelError(f"{node.describe()} has codes of type {dtype}; use int8 QDQ")
    return dtype


def constant_of(model: OnnxModel, node: Node, index: int) -> StoredTensor:
    """The constant that `node` reads at input `index`. Raises: ModelError: it is none."""
    try:
        return model.constants[node.input(index)].tensor
    except KeyError:
        raise ModelError(
            f"input {index} of {node.describe()}, {node.input(index)!r}, is not a constant; "
            "export the model with its weights in it"
        ) from None
