"""Weights and biases of an ONNX graph as they are stored: plain floats, perhaps behind a Cast; codes behind a
DequantizeLinear (DQ); floats behind a QuantizeLinear (Q) and a DQ, the form that TensorRT also reads; or codes that an
integer operator reads together with their scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError
from edge_cnn.core.quantization import QuantizationParams, dequantize, quantize
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.quantizer import (
    CODES,
    DEQUANTIZE,
    FLOATS,
    QUANTIZE,
    Input,
    Quantizer,
    codes_dtype,
    constant_of,
    is_quantizer,
    linear_quantizer,
    quantizer_params,
)
from edge_cnn.device.onnx.tensor import DTYPES, StoredTensor

_RESHAPES = ("Reshape", "Unsqueeze")


@dataclass(frozen=True)
class Parameter:
    """Weights or bias: a constant with the nodes between it and the layer.

    Attributes:
        tensor: what the file stores.
        user: the node that reads it, and its input index there.
        quantizers: what holds its scale, nothing for a plain float constant and for a bias whose scale is implied.
        params: scale and zero point, None for a plain float constant.
        cast_to: float type that a Cast before the layer makes of it, None without one.
        reshaped: a Reshape stands before the layer.
    """

    tensor: StoredTensor
    user: Input
    quantizers: tuple[Quantizer, ...]
    params: QuantizationParams | None
    cast_to: str | None = None
    reshaped: bool = False

    @property
    def stores_codes(self) -> bool:
        return self.tensor.dtype not in FLOATS

    def codes_dtype(self, model: OnnxModel) -> str:
        """numpy name of the codes that the layer computes with. Raises: ModelError: as `quantizer_params`."""
        return self.tensor.dtype if self.stores_codes else codes_dtype(model, self.quantizers[0])

    def float_dtype(self, model: OnnxModel) -> str:
        """What the layer computes in, where it computes in floats: the type of its weights, or what is made of them."""
        if self.cast_to is not None:
            return self.cast_to
        return constant_of(model, *self.quantizers[0].scale).dtype if self.quantizers else self.tensor.dtype

    def real_values(self, model: OnnxModel) -> NDArray[np.float32]:
        """What the layer computes with, in the stored shape. Raises: ModelError: NaN or infinity."""
        values = self.tensor.values()
        if not np.isfinite(values).all():
            raise self._not_finite()
        # A scale near the ends of float32 overflows: found below.
        with np.errstate(over="ignore"):
            if self.params is not None:
                if not self.stores_codes:
                    values = quantize(values, self.params, np.dtype(self.codes_dtype(model)))
                values = dequantize(values, self.params)
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise self._not_finite()
        return values

    def _not_finite(self) -> ModelError:
        return ModelError(
            f"tensor {self.tensor.name!r} of the last layer holds NaN or infinity; train or export the model again"
        )


def is_constant(model: OnnxModel, name: str) -> bool:
    """Whether `name` is a constant, directly or behind Q, DQ, a Cast or a Reshape."""
    for _ in range(4):
        if name in model.constants:
            return True
        node = model.producers.get(name)
        if node is None or not (is_quantizer(node) or node.op in ("Cast", *_RESHAPES)):
            return False
        name = node.input(0)
    return False


def read_parameter(model: OnnxModel, node: Node, index: int) -> Parameter:
    """The constant that `node` reads at input `index`, directly or through Q, DQ, a Cast or a Reshape.

    Raises:
        ModelError: it is not a constant, or its type or quantization is not known.
    """
    user, quantizers = (node, index), list[Quantizer]()
    cast_to: str | None = None
    reshaped = False
    while (producer := model.producers.get(user[0].input(user[1]))) is not None:
        if producer.op in _RESHAPES and not (reshaped or quantizers or cast_to):
            reshaped = True
        elif producer.op == "Cast" and cast_to is None and not quantizers:
            target = producer.attributes.get("to")
            cast_to = DTYPES.get(target, str(target)) if isinstance(target, int) else str(target)
        elif is_quantizer(producer) and producer.op == (QUANTIZE if quantizers else DEQUANTIZE) and len(quantizers) < 2:
            quantizers.append(linear_quantizer(producer))
        else:
            break
        user = (producer, 0)
    tensor = constant_of(model, *user)
    params = quantizer_params(model, quantizers[0]) if quantizers else None
    if tensor.dtype not in (CODES if len(quantizers) == 1 else FLOATS) or cast_to not in (None, *FLOATS):
        raise ModelError(f"tensor {tensor.name!r} is {tensor.dtype}, which {node.describe()} cannot compute with")
    if len(quantizers) == 1 and codes_dtype(model, quantizers[0]) != tensor.dtype:
        raise ModelError(f"tensor {tensor.name!r} is {tensor.dtype}, unlike its zero point; export the model again")
    return Parameter(tensor, user, tuple(quantizers), params, cast_to, reshaped)


def read_codes(model: OnnxModel, node: Node, index: int, quantizer: Quantizer) -> Parameter:
    """The codes that an integer operator reads at input `index`, with the scale that stands elsewhere.

    Raises:
        ModelError: they are not a constant, or their type or quantization is not known.
    """
    tensor = constant_of(model, node, index)
    if tensor.dtype not in CODES:
        raise ModelError(f"tensor {tensor.name!r} is {tensor.dtype}, which {node.describe()} cannot compute with")
    return Parameter(tensor, (node, index), (quantizer,), quantizer_params(model, quantizer))


def read_implied_bias(model: OnnxModel, node: Node, index: int, params: QuantizationParams) -> Parameter:
    """The int32 bias that an integer operator reads at input `index`; its scale is embedding scale x weight scale.

    Raises:
        ModelError: it is no int32 constant.
    """
    tensor = constant_of(model, node, index)
    if tensor.dtype != "int32":
        raise ModelError(f"bias {tensor.name!r} is {tensor.dtype}, which {node.describe()} cannot add; export it again")
    return Parameter(tensor, (node, index), (), params)
