"""The range of every activation of a float graph over the calibration samples."""

from __future__ import annotations

from converters.calibration.samples import Calibration
from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph


def ranges_of(graph: FloatGraph, calibration: Calibration) -> dict[int, tuple[float, float]]:
    """Tensor index -> (low, high): smallest and largest value seen."""
    ranges: dict[int, tuple[float, float]] = {}
    for found in activations(graph, calibration.inputs):
        for index, values in found.items():
            low, high = float(values.min()), float(values.max())
            old = ranges.get(index, (low, high))
            ranges[index] = (min(low, old[0]), max(high, old[1]))
    return ranges
