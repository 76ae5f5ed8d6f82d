"""Operators that move elements and compute none."""

from __future__ import annotations

import numpy as np

from converters.sources.onnx.node import Node
from converters.sources.onnx.value import Value, arranged, in_onnx_order, plain


def reshape(node: Node) -> Value:
    """To another shape within each sample."""
    value = node.value
    target = node.integers("shape", 1)
    if target is None:
        raise ValueError("no shape")
    return _reshaped(node, _resolved(target, value.sizes, node))


def flatten(node: Node) -> Value:
    """To (n, features)."""
    axis = int(node.attributes.get("axis", 1))
    if axis % (node.value.rank + (axis >= 0)) != 1:
        raise ValueError(f"axis {axis} of {node.value.rank} joins samples")
    return _reshaped(node, (int(np.prod(node.value.sizes)),))


def _resolved(target: list[int], sizes: tuple[int, ...], node: Node) -> tuple[int, ...]:
    """The target without the batch. Raises: ValueError: samples would be joined or cut."""
    rest = int(np.prod(sizes))
    if not node.attributes.get("allowzero"):
        target = [sizes[i - 1] if i and not size and i <= len(sizes) else size for i, size in enumerate(target)]
    # 0 stands for the batch: it was copied, or computed from a shape.
    if target and target[0] in (0, -1, node.batch or 1):
        inner = list(target[1:])
        if inner.count(-1) == 1 and target[0] != -1:
            known = -int(np.prod(inner))
            if known and rest % known == 0:
                inner[inner.index(-1)] = rest // known
        if int(np.prod(inner)) == rest and min(inner, default=1) > 0:
            return tuple(inner)
    raise ValueError(f"it makes {target} of (n, {', '.join(map(str, sizes))}), which joins or cuts samples")


def _reshaped(node: Node, new: tuple[int, ...]) -> Value:
    tf, value = node.tf, node.value
    old = value.sizes
    if new == old:
        return value
    if value.columns is not None:
        return plain(tf.reshape(in_onnx_order(tf, value), (-1, *new)))
    moving = [place for place, size in zip(value.axes[1:], old, strict=True) if size != 1]
    if moving == sorted(moving):
        return plain(tf.reshape(value.tensor, (-1, *new)), is_nonnegative=value.is_nonnegative)
    # Channels are cut or joined, as in a shuffle, and the pixels stay: both orders have the channels last.
    for kept in (2, value.rank - 2):
        head = len(new) - kept
        if value.rank > 3 and head > 0 and new[head:] == old[len(old) - kept :] and head != len(new):
            last = value.rank - kept - 1
            axes = (0, *(kept + 1 + i for i in range(last)), *range(1, kept + 1))
            tensor = tf.reshape(arranged(tf, value, axes), (-1, *new[head:], *new[:head]))
            return Value(tensor, (0, *(kept + 1 + i for i in range(head)), *range(1, kept + 1)))
    if value.rank == 4 and len(new) == 2 and new[0] == old[0] and value.axes == (0, 3, 1, 2):
        return Value(tf.reshape(value.tensor, (-1, new[1], new[0])), (0, 2, 1))
    if len(new) == 1:
        stored = [int(size) for size in value.tensor.shape[1:]]
        places = np.arange(new[0]).reshape(stored).transpose([axis - 1 for axis in value.axes[1:]])
        flat = tf.reshape(value.tensor, (-1, *new))
        return Value(flat, (0, 1), places.reshape(-1), value.is_nonnegative)
    return plain(tf.reshape(in_onnx_order(tf, value), (-1, *new)), is_nonnegative=value.is_nonnegative)


def transpose(node: Node) -> Value:
    """Nothing moves; the value remembers."""
    value = node.value
    order = node.integers("perm") or list(range(value.rank))[::-1]
    if order[0] != 0:
        raise ValueError(f"perm {order} moves the batch")
    if value.columns is not None:
        return value
    return Value(value.tensor, tuple(value.axes[axis] for axis in order), is_nonnegative=value.is_nonnegative)


def squeeze(node: Node) -> Value:
    """Axes of size 1 go."""
    value = node.value
    axes = node.integers("axes", 1)
    if axes is None:
        axes = [i + 1 for i, size in enumerate(value.sizes) if size == 1]
    gone = {node.own_axis(axis, value.rank) for axis in axes}
    if any(value.sizes[axis - 1] != 1 for axis in gone):
        raise ValueError(f"axes {sorted(gone)} of sizes {value.sizes} are not all 1")
    left = [place for axis, place in enumerate(value.axes) if axis not in gone]
    order = sorted(left)
    tensor = node.tf.reshape(value.tensor, (-1, *(int(value.tensor.shape[place]) for place in order[1:])))
    return Value(tensor, tuple(order.index(place) for place in left), is_nonnegative=value.is_nonnegative)


def unsqueeze(node: Node) -> Value:
    """Axes of size 1 come; they are stored last, where they cost nothing to move."""
    value = node.value
    axes = node.integers("axes", 1) or []
    rank = value.rank + len(axes)
    new = {node.own_axis(axis, rank) for axis in axes}
    if value.columns is not None:
        value = plain(in_onnx_order(node.tf, value))
    tensor = node.tf.reshape(value.tensor, (-1, *(int(s) for s in value.tensor.shape[1:]), *(1 for _ in new)))
    old, added = iter(value.axes), iter(range(value.rank, rank))
    places = tuple(next(added) if axis in new else next(old) for axis in range(rank))
    return Value(tensor, places, is_nonnegative=value.is_nonnegative)


def concat(node: Node) -> Value:
    """Of activations only."""
    values = [node.activation(i) for i in range(len(node.inputs))]
    if len({value.rank for value in values}) != 1:
        raise ValueError(f"activations of {[value.rank for value in values]} axes meet")
    axis, tf = node.axis(1), node.tf
    is_nonnegative = all(value.is_nonnegative for value in values)
    if any(value.columns is not None for value in values):
        starts = np.cumsum([0, *(value.sizes[0] for value in values)])
        columns = [
            (np.arange(value.sizes[0]) if value.columns is None else value.columns) + start
            for value, start in zip(values, starts[:-1], strict=True)
        ]
        tensor = tf.concat([value.tensor for value in values], 1)
        return Value(tensor, (0, 1), np.concatenate(columns), is_nonnegative)
    axes = max(values, key=lambda value: np.prod(value.sizes)).axes
    tensor = tf.concat([arranged(tf, value, axes) for value in values], axes[axis])
    return Value(tensor, axes, is_nonnegative=is_nonnegative)


def split(node: Node) -> tuple[Value, ...]:
    """Along one axis, in equal parts or of given sizes."""
    value, axis = _without_columns(node), node.axis(0)
    sizes = node.integers("split", 1)
    if sizes is None:
        whole, count = value.sizes[axis - 1], int(node.attributes.get("num_outputs", node.outputs))
        sizes = [min(-(-whole // count), whole - i * -(-whole // count)) for i in range(count)]
    parts = node.tf.split(value.tensor, sizes, axis=value.axes[axis])
    return tuple(value.with_tensor(part, is_nonnegative=value.is_nonnegative) for part in parts)


def slice_(node: Node) -> Value:
    """Along any axes but the batch."""
    value = _without_columns(node)
    starts, ends = node.integers("starts", 1), node.integers("ends", 2)
    if starts is None or ends is None:
        raise ValueError("no starts or ends")
    axes = node.integers("axes", 3) or list(range(len(starts)))
    steps = node.integers("steps", 4) or [1] * len(starts)
    pieces = [slice(None)] * value.rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if axis == 0 and start == 0 and step == 1 and end >= 2**31 - 1:
            continue
        if step < 1:
            raise ValueError(f"step {step}")
        counted = node.own_axis(axis, value.rank)
        size = value.sizes[counted - 1]
        pieces[value.axes[counted]] = slice(*slice(start, end, step).indices(size))
    return value.with_tensor(value.tensor[tuple(pieces)], is_nonnegative=value.is_nonnegative)


def pad(node: Node) -> Value:
    """With a constant or mirrored, on any axes but the batch."""
    value = _without_columns(node)
    pads = node.integers("pads", 1)
    if pads is None:
        raise ValueError("no pads")
    mode = node.attributes.get("mode", b"constant")
    mode = mode.decode() if isinstance(mode, bytes) else mode
    axes = [axis % value.rank for axis in node.integers("axes", 3) or range(value.rank)]
    paddings = [(0, 0)] * value.rank
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        paddings[value.axes[axis]] = (before, after)
    if min(min(pair) for pair in paddings) < 0 or any(paddings[0]):
        raise ValueError(f"pads {pads}")
    if mode == "reflect":
        return value.with_tensor(node.tf.pad(value.tensor, paddings, "REFLECT"), is_nonnegative=value.is_nonnegative)
    if mode != "constant":
        raise ValueError(f"mode {mode!r}")
    filler = node.attributes.get("value")
    if filler is None:
        constant = node.constant(2)
        filler = 0.0 if constant is None or not constant.size else constant.reshape(()).item()
    tensor = node.tf.pad(value.tensor, paddings, constant_values=float(filler))
    return value.with_tensor(tensor, is_nonnegative=value.is_nonnegative and filler >= 0)


def _without_columns(node: Node) -> Value:
    value = node.value
    return value if value.columns is None else plain(in_onnx_order(node.tf, value))
