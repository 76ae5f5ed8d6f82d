"""Biases that take back the mean error of quantization (Nagel et al. 2019, section 4.2, with samples).

Rounded weights and inputs shift the mean of a layer's output. In the order of execution each bias is changed by
E[float output - quantized output] of each channel, before its activation function, with all earlier layers corrected
already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph, Layer
from converters.float_graph.tensorflow_graph import Hook, forward
from converters.float_graph.tensorflow_operators import OPERATORS, Context
from converters.improvement.own_constants import with_own_constants
from converters.improvement.rounded_graph import rounding_hooks
from converters.improvement.shared_scales import shared_ranges
from edge_cnn.host.tensorflow_import import import_tensorflow

_MAX_VALUES = 2**26
"""How many activations are held at once (256 MB). Of large images fewer samples serve: each has many places."""

_AtLayer = Callable[[Layer, Any], Any]
"""Layer, its output before the activation function -> what to go on with."""


def correct_biases(
    graph: FloatGraph, ranges: Mapping[int, tuple[float, float]], inputs: NDArray[np.float32], *, bits: int = 8
) -> FloatGraph:
    """The graph with biases that make the means of its quantized layers those of its float ones.

    It is to be quantized with the same `ranges`: what its quantized layers give lies where that of `graph` lay, while
    its own float activations are shifted.

    Args:
        graph: float32.
        ranges: of every activation.
        inputs: calibration samples, float32 (n, ...); as many of the first as fit in memory are used.
        bits: of the weights that the biases are corrected for.
    """
    import_tensorflow()
    graph = with_own_constants(graph)
    values_each = sum(int(np.prod(graph.tensors[i].shape)) for i in graph.activations)
    samples = inputs[: max(1, _MAX_VALUES // values_each)]
    aims: dict[int, NDArray[np.float64]] = {}
    biases: dict[int, NDArray[np.float32]] = {}

    def see(layer: Layer, value: Any) -> Any:
        aims[layer.output] = _mean(value)
        return value

    def correct(layer: Layer, value: Any) -> Any:
        assert layer.bias is not None
        shift = (aims[layer.output] - _mean(value)).astype(np.float32)
        biases[layer.bias] = graph.constant(layer.bias) + shift
        return value + shift

    _run(graph, samples, lambda _, value: value, lambda _, value: value, see)
    shared = shared_ranges(graph, dict(ranges))
    _run(graph, samples, *rounding_hooks(graph, lambda index: shared[index], bits), correct)
    return graph.with_constants(biases)


def _run(
    graph: FloatGraph, inputs: NDArray[np.float32], on_constant: Hook, on_activation: Hook, at_layer: _AtLayer
) -> None:
    """Compute the graph with hooks, and with another one on the output of each layer before its activation function."""
    tf, _ = import_tensorflow()
    layers = {layer.output: layer for layer in graph.layers}
    values: dict[int, Any] = {}

    def read(index: int) -> Any:
        return values[index] if index in values else on_constant(index, tf.constant(graph.constant(index)))

    def on_output(index: int, value: Any) -> Any:
        if index in layers:
            layer = layers[index]
            plain = replace(layer.operator, options=layer.operator.options | {"fusedActivationFunction": 0})
            linear = OPERATORS[plain.op](Context(tf, graph, plain, read))
            value = Context(tf, graph, layer.operator, read).activate(at_layer(layer, linear))
        values[index] = on_activation(index, value)
        return values[index]

    forward(graph, on_constant=on_constant, on_activation=on_output)(inputs)


def _mean(value: Any) -> NDArray[np.float64]:
    """Of each channel, the last axis."""
    array = np.asarray(value)
    return array.reshape(-1, array.shape[-1]).mean(axis=0, dtype=np.float64)
