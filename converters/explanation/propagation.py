"""The float graph from one changed tensor on: everything before it is taken from the unchanged run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensorflow_graph import check_operators
from converters.float_graph.tensorflow_operators import OPERATORS, Context
from edge_cnn.host.tensorflow_import import import_tensorflow


class Propagation:
    """Runs of a float graph on batches, whole or from an operator on.

    Raises (when made):
        ModelError: an operator that edge_cnn does not read.
    """

    def __init__(self, graph: FloatGraph) -> None:
        check_operators(graph)
        self._tf, _ = import_tensorflow()
        self.graph = graph
        self._constants: dict[int, Any] = {}

    def whole(self, inputs: NDArray[np.float32]) -> dict[int, Any]:
        """Every tensor that the graph computes on inputs (n, ...), by index."""
        values: dict[int, Any] = {self.graph.inputs[0]: self._tf.constant(inputs)}
        self._run(values, {}, None)
        return values

    def operator(self, index: int, values: Mapping[int, Any], constants: Mapping[int, NDArray[np.float32]]) -> Any:
        """What one operator writes with other constants, its inputs taken from `values`."""
        own = {i: values[i] for i in self.graph.operators[index].inputs if i in values}
        self._run(own, constants, None, index, index + 1)
        return own[self.graph.operators[index].outputs[0]]

    def scores(self, values: Mapping[int, Any], changed: int, value: Any) -> NDArray[np.float32]:
        """The graph's output (n, classes) when tensor `changed` holds `value` and all before it what `values` holds."""
        own = dict(values)
        own[changed] = value
        self._run(own, {}, {changed})
        return np.asarray(own[self.graph.outputs[0]]).reshape(len(np.asarray(value)), -1)

    def _run(
        self,
        values: dict[int, Any],
        constants: Mapping[int, NDArray[np.float32]],
        changed: set[int] | None,
        first: int = 0,
        end: int | None = None,
    ) -> None:
        """Compute, into `values`, what depends on `changed`; everything if None."""
        given = set(changed or ())

        def read(index: int) -> Any:
            if index in values:
                return values[index]
            if index in constants:
                return self._tf.constant(constants[index])
            if index not in self._constants:
                self._constants[index] = self._tf.constant(self.graph.constant(index))
            return self._constants[index]

        for operator in self.graph.operators[first:end]:
            if changed is not None and (not changed & set(operator.inputs) or given & set(operator.outputs)):
                continue
            result = OPERATORS[operator.op](Context(self._tf, self.graph, operator, read))
            results = result if isinstance(result, (list, tuple)) else (result,)
            values.update(zip(operator.outputs, results, strict=True))
            if changed is not None:
                changed.update(operator.outputs)
