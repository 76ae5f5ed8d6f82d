"""TFLite's operators as TensorFlow's: one small function each, in one table.

Shapes, paddings and orders of axes are those of the TFLite schema; a constant shape's leading 1 is the batch, which
becomes whatever the batch is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from converters.float_graph.float_graph import FloatGraph, Operator
from edge_cnn.core.errors import ModelError


class Context(NamedTuple):
    """What an operator's function gets: TensorFlow, the graph, the operator, and a reader of tensors by index."""

    tf: Any
    graph: FloatGraph
    operator: Operator
    read: Callable[[int], Any]

    def input(self, place: int) -> Any:
        """The value of an input, None where it is left out."""
        inputs = self.operator.inputs
        return self.read(inputs[place]) if place < len(inputs) and inputs[place] >= 0 else None

    def constant(self, place: int) -> list[int]:
        """A constant input of integers: axes, shapes, paddings."""
        return self.graph.constant(self.operator.inputs[place]).tolist()

    def option(self, name: str) -> Any:
        return self.operator.options.get(name)

    def padding(self) -> str:
        return "VALID" if self.option("padding") == 1 else "SAME"

    def strides(self) -> list[int]:
        return [1, self.option("strideH"), self.option("strideW"), 1]

    def activate(self, value: Any) -> Any:
        """The fused activation. Raises: ModelError: one that no converter writes."""
        code = self.option("fusedActivationFunction") or 0
        if code == 0:
            return value
        if code not in _ACTIVATIONS:
            raise ModelError(f"{self.operator.name}: fused activation {code} is unknown; export the model again")
        return _ACTIVATIONS[code](self.tf, value)


_ACTIVATIONS: dict[int, Callable[[Any, Any], Any]] = {
    1: lambda tf, x: tf.nn.relu(x),
    2: lambda tf, x: tf.clip_by_value(x, -1.0, 1.0),
    3: lambda tf, x: tf.nn.relu6(x),
    4: lambda tf, x: tf.tanh(x),
}


def _with_bias(c: Context, value: Any, bias: Any) -> Any:
    return c.activate(value if bias is None else c.tf.nn.bias_add(value, bias))


def _conv_2d(c: Context) -> Any:
    filters = c.tf.transpose(c.input(1), [1, 2, 3, 0])
    dilations = [1, c.option("dilationHFactor"), c.option("dilationWFactor"), 1]
    return _with_bias(c, c.tf.nn.conv2d(c.input(0), filters, c.strides(), c.padding(), dilations=dilations), c.input(2))


def _depthwise_conv_2d(c: Context) -> Any:
    weights = c.input(1)
    _, height, width, out = weights.shape
    channels = c.graph.tensors[c.operator.inputs[0]].shape[-1]
    filters = c.tf.reshape(weights, [height, width, channels, out // channels])
    dilations = [c.option("dilationHFactor"), c.option("dilationWFactor")]
    value = c.tf.nn.depthwise_conv2d(c.input(0), filters, c.strides(), c.padding(), dilations=dilations)
    return _with_bias(c, value, c.input(2))


def _transpose_conv(c: Context) -> Any:
    image = c.input(2)
    shape = [c.tf.shape(image)[0], *c.constant(0)[1:]]
    filters = c.tf.transpose(c.input(1), [1, 2, 0, 3])
    return _with_bias(c, c.tf.nn.conv2d_transpose(image, filters, shape, c.strides(), c.padding()), c.input(3))


def _fully_connected(c: Context) -> Any:
    weights = c.input(1)
    value = c.input(0)
    if not c.option("keepNumDims"):
        value = c.tf.reshape(value, [-1, weights.shape[1]])
    return _with_bias(c, c.tf.matmul(value, c.tf.transpose(weights)), c.input(2))


def _pool(kind: str) -> Callable[[Context], Any]:
    def pool(c: Context) -> Any:
        size = [1, c.option("filterHeight"), c.option("filterWidth"), 1]
        return c.activate(getattr(c.tf.nn, kind)(c.input(0), size, c.strides(), c.padding()))

    return pool


def _binary(name: str) -> Callable[[Context], Any]:
    return lambda c: c.activate(getattr(c.tf, name)(c.input(0), c.input(1)))


def _unary(name: str) -> Callable[[Context], Any]:
    def unary(c: Context) -> Any:
        owner = c.tf
        for part in name.split("."):
            owner = getattr(owner, part)
        return owner(c.input(0))

    return unary


def _reduce(name: str) -> Callable[[Context], Any]:
    def reduce(c: Context) -> Any:
        axes = c.constant(1)
        return getattr(c.tf, name)(c.input(0), axes, keepdims=bool(c.option("keepDims")))

    return reduce


def _reshape(c: Context) -> Any:
    shape = list(c.graph.tensors[c.operator.outputs[0]].shape)
    return c.tf.reshape(c.input(0), [-1, *shape[1:]])


def _squeeze(c: Context) -> Any:
    return c.tf.squeeze(c.input(0), [int(i) for i in c.option("squeezeDims")])


def _softmax(c: Context) -> Any:
    return c.tf.nn.softmax(c.option("beta") * c.input(0))


def _concatenation(c: Context) -> Any:
    return c.activate(c.tf.concat([c.input(i) for i in range(len(c.operator.inputs))], c.option("axis")))


def _pad(c: Context) -> Any:
    value = c.input(2)
    return c.tf.pad(c.input(0), c.constant(1), constant_values=0.0 if value is None else value)


def _mirror_pad(c: Context) -> Any:
    return c.tf.pad(c.input(0), c.constant(1), "SYMMETRIC" if c.option("mode") == 1 else "REFLECT")


def _transpose(c: Context) -> Any:
    return c.tf.transpose(c.input(0), c.constant(1))


def _tile(c: Context) -> Any:
    return c.tf.tile(c.input(0), c.constant(1))


def _expand_dims(c: Context) -> Any:
    return c.tf.expand_dims(c.input(0), c.graph.constant(c.operator.inputs[1]).item())


def _leaky_relu(c: Context) -> Any:
    return c.tf.nn.leaky_relu(c.input(0), c.option("alpha"))


def _prelu(c: Context) -> Any:
    value = c.input(0)
    return c.tf.maximum(value, 0.0) + c.input(1) * c.tf.minimum(value, 0.0)


def _hard_swish(c: Context) -> Any:
    value = c.input(0)
    return value * c.tf.nn.relu6(value + 3.0) / 6.0


def _gelu(c: Context) -> Any:
    return c.tf.nn.gelu(c.input(0), approximate=bool(c.option("approximate")))


def _strided_slice(c: Context) -> Any:
    masks = {f"{name}_mask": c.option(f"{name}Mask") or 0 for name in ("begin", "end", "ellipsis")} | {
        "new_axis_mask": c.option("newAxisMask") or 0,
        "shrink_axis_mask": c.option("shrinkAxisMask") or 0,
    }
    # The batch is taken whole: the file's 1 is any number here.
    masks["begin_mask"] |= 1
    masks["end_mask"] |= 1
    return c.tf.strided_slice(c.input(0), c.constant(1), c.constant(2), c.constant(3), **masks)


def _split(c: Context) -> Any:
    return c.tf.split(c.input(1), c.option("numSplits"), c.graph.constant(c.operator.inputs[0]).item())


def _resize(method: str) -> Callable[[Context], Any]:
    def resize(c: Context) -> Any:
        images = getattr(c.tf.compat.v1.image, f"resize_{method}")
        return images(
            c.input(0),
            c.constant(1),
            align_corners=bool(c.option("alignCorners")),
            half_pixel_centers=bool(c.option("halfPixelCenters")),
        )

    return resize


OPERATORS: dict[str, Callable[[Context], Any]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool("avg_pool2d"),
    "MAX_POOL_2D": _pool("max_pool2d"),
    "ADD": _binary("add"),
    "SUB": _binary("subtract"),
    "MUL": _binary("multiply"),
    "DIV": _binary("divide"),
    "MAXIMUM": _binary("maximum"),
    "MINIMUM": _binary("minimum"),
    "SQUARED_DIFFERENCE": lambda c: c.tf.math.squared_difference(c.input(0), c.input(1)),
    "MEAN": _reduce("reduce_mean"),
    "SUM": _reduce("reduce_sum"),
    "REDUCE_MAX": _reduce("reduce_max"),
    "REDUCE_MIN": _reduce("reduce_min"),
    "RELU": _unary("nn.relu"),
    "RELU6": _unary("nn.relu6"),
    "RELU_N1_TO_1": lambda c: c.tf.clip_by_value(c.input(0), -1.0, 1.0),
    "ELU": _unary("nn.elu"),
    "LOGISTIC": _unary("sigmoid"),
    "TANH": _unary("tanh"),
    "EXP": _unary("exp"),
    "ABS": _unary("abs"),
    "NEG": _unary("negative"),
    "SQRT": _unary("sqrt"),
    "RSQRT": _unary("math.rsqrt"),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _prelu,
    "HARD_SWISH": _hard_swish,
    "GELU": _gelu,
    "SOFTMAX": _softmax,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "CONCATENATION": _concatenation,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "TRANSPOSE": _transpose,
    "TILE": _tile,
    "EXPAND_DIMS": _expand_dims,
    "STRIDED_SLICE": _strided_slice,
    "SPLIT": _split,
    "RESIZE_BILINEAR": _resize("bilinear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest_neighbor"),
}
"""Operator, as the schema names it -> its function."""
