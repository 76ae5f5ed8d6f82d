"""A way to quantize a float graph to int8: calibration method, improvements before, layers left in float."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.calibration.table import DEFAULT_METHOD
from converters.float_graph.float_graph import LAYER_OPERATORS, FloatGraph, Operator
from converters.improvement.bias_correction import correct_biases
from converters.improvement.equalization import equalize
from converters.schemes.integer_quantizer import quantize_to_int8


@dataclass(frozen=True)
class Mix:
    """One way.

    Attributes:
        method: of calibration, a row of `converters.calibration.table.ESTIMATORS`.
        equalized: channels of neighbouring layers scaled against each other first.
        bias_corrected: biases take back the mean error of rounding.
        exclude: names of operators that stay float32, in the order in which they were chosen.
    """

    method: str = DEFAULT_METHOD
    equalized: bool = False
    bias_corrected: bool = False
    exclude: tuple[str, ...] = ()

    def describe(self) -> str:
        """A few words for a person."""
        parts = [f"{self.method} ranges"]
        if self.equalized:
            parts.append("equalized")
        if self.bias_corrected:
            parts.append("bias corrected")
        if self.exclude:
            parts.append(f"{', '.join(name.split(';')[0] for name in self.exclude)} in float")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "equalized": self.equalized,
            "bias_corrected": self.bias_corrected,
            "exclude": list(self.exclude),
        }


Convert = Callable[[FloatGraph, Calibration, Collection[str]], bytes]
"""Float graph, calibration, names of operators that stay in float -> the bytes of a file, without metadata."""


def to_int8(graph: FloatGraph, calibration: Calibration, in_float: Collection[str]) -> bytes:
    """TFLite int8. Raises: ModelError: the quantizer refuses, or there is no operator of a name."""
    return quantize_to_int8(graph, ranges_of(graph, calibration), in_float=in_float)


class MixMaker:
    """Makes files of mixes; the graph is improved in each way once.

    Args:
        graph: float32, BatchNorm folded.
        calibration: samples; their own method is that of plain int8.
        convert: quantizes.
    """

    def __init__(self, graph: FloatGraph, calibration: Calibration, convert: Convert = to_int8) -> None:
        self.graph = graph
        self._calibration = calibration
        self._convert = convert
        self._improved: dict[tuple[str, bool, bool], FloatGraph] = {}
        self._ranges: dict[tuple[str, bool, bool], dict[int, tuple[float, float]]] = {}

    def make(self, mix: Mix) -> bytes:
        """The bytes of a file without metadata.

        Raises:
            ModelError: the quantizer refuses, or there is no operator of an excluded name.
        """
        graph, calibration = self._graph(mix), self._calibrated(mix)
        if mix.bias_corrected:
            calibration = replace(calibration, ranges=self._ranges[self._key(mix)])
        return self._convert(graph, calibration, mix.exclude)

    def _key(self, mix: Mix) -> tuple[str, bool, bool]:
        # Ranges matter to biases alone.
        return (mix.method if mix.bias_corrected else "", mix.equalized, mix.bias_corrected)

    def _graph(self, mix: Mix) -> FloatGraph:
        key = self._key(mix)
        if key not in self._improved:
            if mix.bias_corrected:
                graph, calibration = self._graph(replace(mix, bias_corrected=False)), self._calibrated(mix)
                ranges = ranges_of(graph, calibration)
                self._ranges[key] = ranges
                self._improved[key] = correct_biases(graph, ranges, calibration.inputs)
            else:
                self._improved[key] = equalize(self.graph).graph if mix.equalized else self.graph
        return self._improved[key]

    def _calibrated(self, mix: Mix) -> Calibration:
        if mix == Mix(self._calibration.method, exclude=mix.exclude):
            return self._calibration
        # Ranges that came with it, from training, are those of plain int8 alone.
        return replace(self._calibration, method=mix.method, ranges=None)


def float_share(graph: FloatGraph, exclude: tuple[str, ...]) -> float:
    """Share of the graph's multiplications that excluded layers do: what an estimate of the time goes by."""
    costs = {o.name: multiplications(graph, o) for o in graph.operators}
    return sum(costs.get(name, 0) for name in exclude) / max(sum(costs.values()), 1)


def multiplications(graph: FloatGraph, operator: Operator) -> int:
    """Of a layer on one sample; 0 of operators without weights."""
    if operator.op not in LAYER_OPERATORS:
        return 0
    weights = graph.tensors[operator.inputs[1]].shape
    places = int(np.prod(graph.tensors[operator.outputs[0]].shape[:-1]))
    return int(np.prod(weights)) * places


Measure = Callable[[bytes], float]
"""A file -> the share of held-out samples that it gets right."""
