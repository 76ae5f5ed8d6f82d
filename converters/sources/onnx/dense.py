"""Gemm and MatMul."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.sources.onnx.node import Node
from converters.sources.onnx.value import Value, in_onnx_order, plain


def matmul(node: Node) -> Value:
    """Activations times constant weights, or two activations of the same number of axes."""
    left, right = node.value, node.inputs[1]
    if isinstance(right, Value):
        if left.rank != right.rank or left.rank < 3:
            raise ValueError(f"activations of {left.rank} and {right.rank} axes meet")
        return plain(node.tf.matmul(in_onnx_order(node.tf, left), in_onnx_order(node.tf, right)))
    weights = node.needed(1)
    if weights.ndim != 2:
        raise ValueError(f"weights of shape {weights.shape}")
    return _times(node.tf, left, weights)


def gemm(node: Node) -> Value:
    """alpha * x @ weights + beta * bias, all but x constant."""
    attributes, weights = node.attributes, node.needed(1)
    if attributes.get("transA"):
        raise ValueError("transA")
    if attributes.get("transB"):
        weights = weights.T
    result = _times(node.tf, node.value, weights * np.float32(attributes.get("alpha", 1.0)))
    bias = node.constant(2)
    if bias is None:
        return result
    if bias.ndim == 2 and bias.shape[0] != 1:
        raise ValueError(f"a bias of shape {bias.shape}")
    full = np.broadcast_to(bias.reshape(-1) * np.float32(attributes.get("beta", 1.0)), weights.shape[1:])
    return result.with_tensor(node.tf.nn.bias_add(result.tensor, full))


def _times(tf: Any, value: Value, weights: NDArray[Any]) -> Value:
    if value.sizes[-1] != weights.shape[0]:
        raise ValueError(f"{value.sizes[-1]} features meet weights of shape {weights.shape}")
    if value.columns is not None:
        rows = np.empty_like(weights)
        rows[value.columns] = weights
        return plain(tf.matmul(value.tensor, rows))
    tensor = in_onnx_order(tf, value)
    if value.rank == 2:
        return plain(tf.matmul(tensor, weights))
    return plain(tf.tensordot(tensor, weights, 1))
