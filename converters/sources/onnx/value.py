"""An activation that may lie in memory in another order than ONNX says.

ONNX keeps the channels of an image before its pixels, TensorFlow and the devices after them. Rather than transposing
around every layer, a value remembers where each of its axes is stored; what the order is known to meet (weights, means,
slopes) is rearranged once, as a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS_LAST = (0, 3, 1, 2)
"""Where (n, channels, height, width) is stored as (n, height, width, channels)."""


@dataclass(frozen=True)
class Value:
    """An activation; its first axis is the batch, of unknown size, and stays where it is.

    Attributes:
        tensor: the TensorFlow tensor as it is stored.
        axes: for every axis in ONNX's order, the axis of `tensor` that holds it.
        columns: of a matrix (n, features), for every feature in ONNX's order the column of `tensor` that holds it;
            None where they are the same.
        is_nonnegative: no element is below 0, so that padding with 0 never wins a maximum.
    """

    tensor: Any
    axes: tuple[int, ...]
    columns: NDArray[np.int64] | None = None
    is_nonnegative: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes in ONNX's order without the batch."""
        return tuple(int(self.tensor.shape[axis]) for axis in self.axes[1:])

    @property
    def rank(self) -> int:
        return len(self.axes)

    def with_tensor(self, tensor: Any, *, is_nonnegative: bool = False) -> Value:
        """Another tensor in the same order."""
        return replace(self, tensor=tensor, is_nonnegative=is_nonnegative)


def plain(tensor: Any, *, is_nonnegative: bool = False) -> Value:
    """A value that is stored as ONNX says."""
    return Value(tensor, tuple(range(len(tensor.shape))), None, is_nonnegative)


def arranged(tf: Any, value: Value, axes: tuple[int, ...]) -> Any:
    """The tensor of `value` with its axes stored as `axes` says; free where only axes of size 1 change places."""
    tensor = value.tensor
    if value.columns is not None:
        tensor = tf.gather(tensor, value.columns, axis=1)
    if value.axes == axes:
        return tensor
    order = [0] * len(axes)
    for old, new in zip(value.axes, axes, strict=True):
        order[new] = old
    moved = [axis for axis in order if tensor.shape[axis] != 1]
    if moved == sorted(moved):
        return tf.reshape(tensor, (-1, *(int(tensor.shape[axis]) for axis in order[1:])))
    return tf.transpose(tensor, order)


def in_onnx_order(tf: Any, value: Value) -> Any:
    """The tensor of `value` as ONNX says it."""
    return arranged(tf, value, tuple(range(value.rank)))


def stored_constant(value: Value, constant: NDArray[Any]) -> NDArray[Any]:
    """`constant`, which ONNX broadcasts to `value`, in the order in which `value` is stored.

    Raises:
        ValueError: it has more axes than the value, or differs between samples of a batch.
    """
    if constant.ndim > value.rank or (constant.ndim == value.rank and constant.shape[0] != 1):
        raise ValueError(f"a constant of shape {constant.shape} meets an activation of shape (n, {value.sizes})")
    full = constant.reshape((1,) * (value.rank - constant.ndim) + constant.shape)
    if value.columns is not None and full.shape[1] > 1:
        stored = np.empty_like(full)
        stored[:, value.columns] = full
        full = stored
    full = full.transpose(np.argsort(value.axes))
    # Without leading ones the converters recognize a scale or an offset a channel, and fold it into the layer before.
    while full.ndim and full.shape[0] == 1:
        full = full[0]
    return full
