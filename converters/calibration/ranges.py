"""The ranges of all activations of a float graph, from one pass over the calibration samples."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from converters.calibration.range_estimator import Range, RangeEstimator
from converters.calibration.samples import Calibration
from converters.calibration.table import new_estimator
from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph
from edge_cnn.core.errors import ModelError

FIXED: dict[str, Range] = {"SOFTMAX": (0.0, 1.0), "LOGISTIC": (0.0, 1.0), "TANH": (-1.0, 1.0)}
"""Outputs whose range the function itself sets (TFLite 8-bit quantization specification)."""

RANGE_OF_INPUT = frozenset({"PAD", "MAX_POOL_2D", "RESHAPE"})
"""Operators that copy values, whose output must have the codes of its input (the same specification). The zeros of a
PAD would move a percentile, and the maxima of a pooling the best threshold.
"""

_GROUP = 8
"""Samples that an estimator sees at once: its own cost is a batch's, and memory stays that of a few samples."""

_MEASURED: weakref.WeakKeyDictionary[FloatGraph, tuple[weakref.ref[Calibration], dict[int, Range]]] = (
    weakref.WeakKeyDictionary()
)


def ranges_of(
    graph: FloatGraph, calibration: Calibration, on_progress: Callable[[int, int], None] | None = None
) -> dict[int, Range]:
    """The range of each float activation, by `calibration.method`; `calibration.ranges` where those are given.

    Memory is that of a few samples' activations and of one estimator a tensor, however many samples there are.

    Args:
        graph: float32, of one input.
        calibration: its inputs and its method.
        on_progress: told how many samples of how many are done; not told where the ranges are known already.

    Returns:
        Tensor index -> (low, high), low <= 0 <= high.

    Raises:
        InputError: no such method.
        ModelError: an activation is NaN or infinite; its tensor is named.
    """
    if calibration.ranges is not None:
        return dict(calibration.ranges)
    known = _MEASURED.get(graph)
    if known is not None and known[0]() is calibration:
        return dict(known[1])
    estimators = new_estimators(graph, calibration.method)
    done = 0
    for values in grouped(graph, calibration.inputs, tuple(estimators)):
        see(graph, estimators, values)
        done = min(done + _GROUP, len(calibration))
        if on_progress is not None:
            on_progress(done, len(calibration))
    ranges = ranges_from(graph, estimators)
    remember(graph, calibration, ranges)
    return ranges


def remember(graph: FloatGraph, calibration: Calibration, ranges: dict[int, Range]) -> None:
    """Keep the ranges while both objects live: the audit and each scheme of an export ask for the same ones."""
    _MEASURED[graph] = (weakref.ref(calibration), dict(ranges))


def new_estimators(graph: FloatGraph, method: str) -> dict[int, RangeEstimator]:
    """One for each activation whose range depends on samples. Raises: InputError: no such method."""
    fixed = _fixed_ranges(graph)
    return {index: new_estimator(method) for index in graph.activations if index not in fixed}


def ranges_from(graph: FloatGraph, estimators: Mapping[int, RangeEstimator]) -> dict[int, Range]:
    """What the estimators say, and the ranges that need none."""
    ranges = {index: estimator.range() for index, estimator in estimators.items()} | _fixed_ranges(graph)
    for operator in graph.operators:
        if operator.op in RANGE_OF_INPUT and operator.inputs[0] in ranges:
            ranges[operator.outputs[0]] = ranges[operator.inputs[0]]
    return {index: ranges[index] for index in graph.activations}


def _fixed_ranges(graph: FloatGraph) -> dict[int, Range]:
    return {o: FIXED[operator.op] for operator in graph.operators if operator.op in FIXED for o in operator.outputs}


def see(graph: FloatGraph, estimators: Mapping[int, RangeEstimator], values: Mapping[int, NDArray[np.float32]]) -> None:
    """Give each estimator its tensor's values. Raises: ModelError: NaN or infinity, with the tensor's name."""
    for index, estimator in estimators.items():
        try:
            estimator.update(values[index])
        except ModelError as error:
            raise ModelError(f"tensor {graph.tensors[index].name!r}: {error}") from error


def grouped(
    graph: FloatGraph, inputs: NDArray[np.float32], tensors: tuple[int, ...]
) -> Iterator[dict[int, NDArray[np.float32]]]:
    """Activations of a few samples at once: tensor index -> array (samples, ...)."""
    waiting: list[dict[int, NDArray[np.float32]]] = []
    for values in activations(graph, inputs, tensors):
        waiting.append(values)
        if len(waiting) == _GROUP:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(values: Iterable[Mapping[int, NDArray[np.float32]]]) -> dict[int, NDArray[np.float32]]:
    parts = list(values)
    return {index: np.concatenate([part[index] for part in parts]) for index in parts[0]}
