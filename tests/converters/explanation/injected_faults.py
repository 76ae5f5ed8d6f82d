"""Faults put into int8 files: each a function of the float graph and its calibration samples.

A fault is injected into the bytes, by the schema alone, or into the calibration; nothing here is code under test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.packing import pack
from converters.schemes.integer_quantizer import quantize_to_int8
from tests.converters.skewed_nets import skewed

Array = NDArray[Any]


class Fault(NamedTuple):
    """What was done.

    Attributes:
        cause: as `explain` shall name it.
        layer: place in `graph.layers` that it shall name first, -1 for the input, None where the fault is everywhere.
        make: float graph, calibration inputs -> (reference, int8 file).
    """

    cause: str
    layer: int | None
    make: Callable[[FloatGraph, Array], tuple[FloatGraph, bytes]]


def int8(graph: FloatGraph, inputs: Array, **options: Any) -> bytes:
    """Plain int8, ranges from `inputs`."""
    return quantize_to_int8(graph, ranges_of(graph, Calibration(inputs.astype(np.float32), "min-max")), **options)


def edited(data: bytes, layer: int, *, weights: Any = None, bias: Any = None) -> bytes:
    """A file with other codes in the weights or the bias of a layer: functions of the old ones."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    operator = [o for o in graph.operators if len(o.inputs) == 3][layer]
    for index, change, dtype in ((operator.inputs[1], weights, np.int8), (operator.inputs[2], bias, np.int32)):
        if change is None:
            continue
        tensor = graph.tensors[index]
        codes = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(dtype).reshape(tuple(tensor.shape))
        buffer: Any = schema.BufferT()
        buffer.data = np.ascontiguousarray(change(codes.copy()), dtype).reshape(-1).view(np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    return pack(model)


def _codes(layer: int, *, weights: Any = None, bias: Any = None) -> Callable[..., tuple[FloatGraph, bytes]]:
    return lambda graph, inputs: (graph, edited(int8(graph, inputs), layer, weights=weights, bias=bias))


def _calibrated(change: Callable[[Array], Array], **options: Any) -> Callable[..., tuple[FloatGraph, bytes]]:
    return lambda graph, inputs: (graph, int8(graph, change(inputs), **options))


def _skewed(
    layer: int, factor: float, channels: tuple[int, ...] = (0,), **options: Any
) -> Callable[..., tuple[FloatGraph, bytes]]:
    def make(graph: FloatGraph, inputs: Array) -> tuple[FloatGraph, bytes]:
        other = skewed(graph, layer, channels, factor)
        return other, int8(other, inputs, **options)

    return make


def _range_of(layer: int, factor: float) -> Callable[..., tuple[FloatGraph, bytes]]:
    def make(graph: FloatGraph, inputs: Array) -> tuple[FloatGraph, bytes]:
        ranges = ranges_of(graph, Calibration(inputs, "min-max"))
        place = graph.layers[layer].output
        ranges[place] = (ranges[place][0] * factor, ranges[place][1] * factor)
        return graph, quantize_to_int8(graph, ranges)

    return make


def _shuffled(codes: Array) -> Array:
    return np.random.default_rng(0).permutation(codes.ravel()).reshape(codes.shape)


def _some_replaced(codes: Array) -> Array:
    flat = codes.reshape(-1)
    flat[:: max(len(flat) // 40, 1)] = 127
    return codes


def _four_bits(codes: Array) -> Array:
    return np.clip(np.rint(codes / 16), -7, 7) * 16


def _without_channels(graph: FloatGraph, inputs: Array) -> tuple[FloatGraph, bytes]:
    def weights(codes: Array) -> Array:
        codes[:4] = 0
        return codes

    def bias(codes: Array) -> Array:
        codes[:4] = -(10**7)
        return codes

    return graph, edited(int8(graph, inputs), 4, weights=weights, bias=bias)


def _swapped_classes(graph: FloatGraph, inputs: Array) -> tuple[FloatGraph, bytes]:
    """Made from a float model whose last layer has two classes exchanged."""
    last, order = graph.layers[-1], [0, 8, 2, 3, 4, 5, 6, 7, 1, 9]
    assert last.bias is not None
    values = {i: graph.constant(i)[order] for i in (last.weights, last.bias)}
    return graph, int8(graph.with_constants(values), inputs)


def _by_entropy(graph: FloatGraph, inputs: Array) -> tuple[FloatGraph, bytes]:
    """No injection: on this net the entropy method itself cuts 3 % of a layer off, and 6 points are lost."""
    return graph, quantize_to_int8(graph, ranges_of(graph, Calibration(inputs, "entropy")))


def _one_wild(inputs: Array) -> Array:
    inputs = inputs.copy()
    inputs[0] *= 60
    return inputs


FAULTS: dict[str, Fault] = {
    "skewed activation channel, depthwise": Fault("outlier channel in activations", 1, _skewed(1, 200)),
    "skewed activation channel, pointwise": Fault("outlier channel in activations", 8, _skewed(8, 200)),
    "outlier weight channel": Fault("outlier channel in weights", 2, _skewed(2, 100, per_channel=False)),
    "per-tensor weights": Fault("per-tensor weights", 2, _skewed(2, 100, (0, 1, 2), per_channel=False)),
    "calibrated on pixels 0..255": Fault("wrong preprocessing", -1, _calibrated(lambda x: x * 255)),
    "calibrated on pixels -1..1": Fault("wrong preprocessing", -1, _calibrated(lambda x: x * 2 - 1)),
    "calibrated on dark images": Fault("saturated range", None, _calibrated(lambda x: x * np.float32(0.2))),
    "range of one layer too narrow": Fault("saturated range", 6, _range_of(6, 0.12)),
    "entropy that cuts off too much": Fault("saturated range", 1, _by_entropy),
    "one wild calibration sample": Fault("range too wide", None, _calibrated(_one_wild)),
    "range of one layer too wide": Fault("range too wide", 4, _range_of(4, 60)),
    "dead channels": Fault("dead channel", 4, _without_channels),
    "shuffled weights": Fault("mismatched weights", 6, _codes(6, weights=_shuffled)),
    "some weights replaced": Fault("mismatched weights", 4, _codes(4, weights=_some_replaced)),
    "bias of a wrong scale": Fault("wrong bias", 3, _codes(3, bias=lambda b: b * 4)),
    "bias left out": Fault("wrong bias", 2, _codes(2, bias=lambda b: b * 0)),
    "bias overflown": Fault("wrong bias", 6, _codes(6, bias=lambda b: np.where(np.arange(len(b)) == 3, 2**31 - 1, b))),
    "4-bit weights": Fault("too few bits", 8, _codes(8, weights=_four_bits)),
    "swapped classes": Fault("class order", 11, _swapped_classes),
}
"""What is injected -> the fault."""
