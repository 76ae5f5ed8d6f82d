"""The last layer of a `.tflite` classifier as a value: its operator, its constants, and what follows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.tflite.file import Operator, TfliteModel
from edge_cnn.device.tflite.int4_codes import packed_size, unpack_int4
from edge_cnn.device.tflite.tensor import Tensor

FULLY_CONNECTED, CONVOLUTION = "FULLY_CONNECTED", "CONV_2D"
LAYERS = (FULLY_CONNECTED, CONVOLUTION)
"""Operators that can be a head; a convolution with a 1x1 kernel on one vector a sample is a dense layer."""

PROBABILITIES = ("SOFTMAX", "LOG_SOFTMAX")

FLOATS = ("float16", "float32")

ITEM_BYTES = {"float16": 2, "float32": 4, "int8": 1, "uint8": 1, "int32": 4, "int64": 8}
"""Size of the element types that weights and bias can have; int4 takes half a byte."""


def stored_bytes(dtype: str, count: int) -> int | None:
    """Bytes that `count` constants take in the file; None of a type that weights and bias cannot have."""
    if dtype == "int4":
        return packed_size(count)
    return count * ITEM_BYTES[dtype] if dtype in ITEM_BYTES else None


@dataclass(frozen=True)
class HeadLayout:
    """The last layer and what follows it.

    Attributes:
        operator: the FULLY_CONNECTED or CONV_2D.
        embedding: what it reads, (1, features) or a shape that it flattens to this.
        weights: stored constant (classes, features), or (classes, 1, 1, features) of a convolution.
        bias: stored constant (classes,), None where the layer has none.
        widening: DEQUANTIZE operators that make floats of the constants before the layer reads them.
        logits: what it writes.
        tail: operators from the logits to the graph's output, in this order.
        shape_operators: operators that compute the new shape of a reshape in the tail from the shape of the logits.
        same_values: the logits and what follows with the same real values: as long as no softmax lies between.
    """

    operator: Operator
    embedding: Tensor
    weights: Tensor
    bias: Tensor | None
    widening: tuple[Operator, ...]
    logits: Tensor
    tail: tuple[Operator, ...]
    shape_operators: tuple[Operator, ...]
    same_values: tuple[Tensor, ...]

    @property
    def classes(self) -> int:
        return self.weights.shape[0]

    @property
    def features(self) -> int:
        return math.prod(self.weights.shape[1:])


def read_constant(model: TfliteModel, tensor: Tensor) -> NDArray[Any]:
    """The values of a constant in its shape, a view of the file; int4 codes as int8.

    `find_head` has checked that they are there.
    """
    span = model.constant(tensor)
    assert span is not None
    if tensor.dtype == "int4":
        count = math.prod(tensor.shape)
        packed = np.frombuffer(model.data, np.uint8, packed_size(count), span[0])
        return unpack_int4(packed, count).reshape(tensor.shape)
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    return np.frombuffer(model.data, dtype, math.prod(tensor.shape), span[0]).reshape(tensor.shape)
