"""What an int8 file computes, as a float computation: every weight, bias and activation rounded to its codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from converters.float_graph.float_graph import FloatGraph, Layer
from converters.float_graph.tensorflow_graph import Hook
from converters.improvement.fake_quantization import (
    ACTIVATION_CODES,
    BIAS_CODES,
    activation_scale,
    fake_quantize,
    weight_limit,
    weight_scale,
)
from converters.schemes.tflite_int4_weights import INT4_OPERATORS
from converters.schemes.weight_quantizer import scale_axis

RangeOf = Callable[[int], tuple[Any, Any]]
"""Tensor index -> (low, high), numbers or TensorFlow scalars."""


def rounded_weights(weights: Any, layer: Layer, bits: int) -> Any:
    """A layer's weights on the grid of their codes, symmetric.

    Each output channel has a scale; FULLY_CONNECTED of 4 bits has one for all, as files with int4 weights do, and the
    layers that such files leave in int8 have 8 bits.
    """
    limit = weight_limit(_bits_of(layer, bits))
    return fake_quantize(weights, _scale(weights, layer, bits), 0.0, (-limit, limit))


def _bits_of(layer: Layer, bits: int) -> int:
    return bits if layer.operator.op in INT4_OPERATORS else 8


def _scale(weights: Any, layer: Layer, bits: int) -> Any:
    bits = _bits_of(layer, bits)
    return weight_scale(weights, scale_axis(layer, dense_per_channel=bits == 8), bits)


def rounding_hooks(
    graph: FloatGraph, range_of: RangeOf, bits: int, constants: Mapping[int, Any] | None = None
) -> tuple[Hook, Hook]:
    """Hooks on constants and on activations for `tensorflow_graph.forward`, which round as an int8 file does.

    Args:
        graph: its layers have constants of their own (`with_own_constants`).
        range_of: of every activation, tensors that share a scale alike (`shared_ranges`).
        bits: of weights, 8 or 4 where the scheme has such; activations have 8, biases 32.
        constants: tensor index -> what the computation reads in its place.
    """
    import tensorflow as tf

    given = constants or {}
    weights_of = {layer.weights: layer for layer in graph.layers}
    biases_of = {layer.bias: layer for layer in graph.layers}

    def on_constant(index: int, value: Any) -> Any:
        if index in weights_of:
            return rounded_weights(value, weights_of[index], bits)
        if index in biases_of:
            layer = biases_of[index]
            weights = given[layer.weights] if layer.weights in given else tf.constant(graph.constant(layer.weights))
            scale = tf.reshape(_scale(weights, layer, bits), [-1])
            return fake_quantize(value, scale * activation_scale(*range_of(layer.input))[0], 0.0, BIAS_CODES)
        if graph.tensors[index].type == "float32":
            ends = tf.reduce_min(value), tf.reduce_max(value)
            return fake_quantize(value, *activation_scale(*ends), ACTIVATION_CODES)
        return value

    def on_activation(index: int, value: Any) -> Any:
        if graph.tensors[index].type != "float32":
            return value
        return fake_quantize(value, *activation_scale(*range_of(index)), ACTIVATION_CODES)

    return on_constant, on_activation
