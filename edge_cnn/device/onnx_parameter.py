"""Weights and biases of an ONNX graph as they are stored: plain floats, codes behind a DequantizeLinear (DQ), or floats
behind a QuantizeLinear (Q) and a DQ, the form that TensorRT also reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError
from edge_cnn.core.quantization import QuantizationParams, dequantize, quantize
from edge_cnn.device.onnx_file import OnnxModel
from edge_cnn.device.onnx_node import Node
from edge_cnn.device.onnx_tensor import DTYPES, StoredTensor

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
QUANTIZER_DOMAINS = ("", "ai.onnx", "com.microsoft")
FLOATS = {"float16", "float32", "float64"}
_CODES = {"int8", "uint8", "int16", "uint16", "int32"}


@dataclass(frozen=True)
class Parameter:
    """Weights or bias: a constant with the nodes between it and the layer.

    Attributes:
        tensor: what the file stores.
        user: the node that reads it, and its input index there.
        quantizers: the Q and DQ nodes that hold its scale, none for a plain float constant.
        params: their scale and zero point, None for a plain float constant.
    """

    tensor: StoredTensor
    user: tuple[Node, int]
    quantizers: tuple[Node, ...]
    params: QuantizationParams | None

    @property
    def stores_codes(self) -> bool:
        return self.tensor.dtype not in FLOATS

    def real_values(self, model: OnnxModel) -> NDArray[np.float32]:
        """What the layer computes with, in the stored shape. Raises: ModelError: NaN or infinity."""
        values = self.tensor.values()
        if not np.isfinite(values).all():
            raise self._not_finite()
        # A scale near the ends of float32 overflows: found below.
        with np.errstate(over="ignore"):
            if self.params is not None:
                if not self.stores_codes:
                    values = quantize(values, self.params, np.dtype(codes_dtype(model, self.quantizers[0])))
                values = dequantize(values, self.params)
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise self._not_finite()
        return values

    def _not_finite(self) -> ModelError:
        return ModelError(
            f"tensor {self.tensor.name!r} of the last layer holds NaN or infinity; train or export the model again"
        )


def is_quantizer(node: Node) -> bool:
    """Whether it is a QuantizeLinear or DequantizeLinear."""
    return node.op in (QUANTIZE, DEQUANTIZE) and node.domain in QUANTIZER_DOMAINS


def quantizer_params(model: OnnxModel, node: Node) -> QuantizationParams:
    """Scale and zero point of a Q or DQ node.

    Raises:
        ModelError: they are not constants, do not fit each other or are not usable numbers.
    """
    scale = _constant(model, node, 1)
    scales = scale.values()
    zero_points = _constant(model, node, 2).values() if node.input(2) else np.zeros(scale.dims, np.int32)
    sound = scale.dtype in ("float16", "float32") and zero_points.dtype.name in _CODES
    if not sound or scales.ndim > 1 or scales.size == 0 or zero_points.size != scales.size:
        raise ModelError(f"{node.describe()} is quantized in blocks or in a way edge_cnn does not know; use int8 QDQ")
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ModelError(f"{node.describe()} has a scale that is not a positive number; export the model again")
    axis = node.attributes.get("axis", 1)
    return QuantizationParams(
        tuple(float(s) for s in scales.reshape(-1)),
        tuple(int(z) for z in zero_points.reshape(-1)),
        axis if scales.size > 1 and isinstance(axis, int) else None,
    )


def codes_dtype(model: OnnxModel, node: Node) -> str:
    """numpy name of the codes of a Q or DQ node: its zero point's type, uint8 by default.

    Raises:
        ModelError: as `quantizer_params`.
    """
    if node.input(2):
        dtype = _constant(model, node, 2).dtype
    elif node.op == QUANTIZE and (declared := node.attributes.get("output_dtype")):
        dtype = DTYPES.get(declared, str(declared)) if isinstance(declared, int) else str(declared)
    elif node.op == DEQUANTIZE and (stored := model.constants.get(node.input(0))):
        dtype = stored.tensor.dtype
    elif node.op == DEQUANTIZE and (producer := model.producers.get(node.input(0))) and is_quantizer(producer):
        dtype = codes_dtype(model, producer) if producer.op == QUANTIZE else "uint8"
    else:
        dtype = "uint8"
    if dtype not in _CODES:
        raise ModelError(f"{node.describe()} has codes of type {dtype}; use int8 QDQ")
    return dtype


def is_constant(model: OnnxModel, name: str) -> bool:
    """Whether `name` is a constant, directly or behind Q and DQ."""
    for _ in range(3):
        if name in model.constants:
            return True
        node = model.producers.get(name)
        if node is None or not is_quantizer(node):
            return False
        name = node.input(0)
    return False


def read_parameter(model: OnnxModel, node: Node, index: int) -> Parameter:
    """The constant that `node` reads at input `index`, directly or through Q and DQ.

    Raises:
        ModelError: it is not a constant, or its type or quantization is not known.
    """
    user, quantizers = (node, index), list[Node]()
    while len(quantizers) < 2 and (producer := model.producers.get(user[0].input(user[1]))) is not None:
        if not is_quantizer(producer) or producer.op != (QUANTIZE if quantizers else DEQUANTIZE):
            break
        quantizers.append(producer)
        user = (producer, 0)
    tensor = _constant(model, *user)
    params = quantizer_params(model, quantizers[0]) if quantizers else None
    if tensor.dtype not in (_CODES if len(quantizers) == 1 else FLOATS):
        raise ModelError(f"tensor {tensor.name!r} is {tensor.dtype}, which {node.describe()} cannot compute with")
    if len(quantizers) == 1 and codes_dtype(model, quantizers[0]) != tensor.dtype:
        raise ModelError(f"tensor {tensor.name!r} is {tensor.dtype}, unlike its zero point; export the model again")
    return Parameter(tensor, user, tuple(quantizers), params)


def _constant(model: OnnxModel, node: Node, index: int) -> StoredTensor:
    try:
        return model.constants[node.input(index)].tensor
    except KeyError:
        raise ModelError(
            f"input {index} of {node.describe()}, {node.input(index)!r}, is not a constant; "
            "export the model with its weights in it"
        ) from None
