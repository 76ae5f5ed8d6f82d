"""A Keras model as the operators that an export makes of it.

Batch normalization goes into the weights before it, ReLU into the operator before it, dropout nowhere: so that what is
counted is what a device stores and computes, not what training holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from edge_cnn.core.errors import ModelError
from edge_cnn.host.budget.layer_costs import (
    ACTIVATING,
    FOLDING,
    SAME_BYTES,
    VANISHING,
    Cost,
    costs_of,
    elements_of,
    is_relu,
    is_relu_name,
    is_uncounted,
    kinds_of,
    own_activation,
)


@dataclass(frozen=True)
class Operation:
    """One operator of the exported file.

    Attributes:
        layer: name of the Keras layer that it comes from.
        kind: class of that layer, or the name of its activation.
        cost: of one sample.
        inputs, outputs: numbers of tensors in `OperationGraph.elements`.
    """

    layer: str
    kind: str
    cost: Cost
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class OperationGraph:
    """What a model computes for one sample.

    Attributes:
        operations: in the order of execution.
        elements: of each tensor of activations; one that is only reshaped counts once.
        inputs, outputs: numbers of tensors.
        uncounted: names of layers that multiply weights in a way that is not known here.
    """

    operations: tuple[Operation, ...]
    elements: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    uncounted: tuple[str, ...]

    def total(self, what: str) -> int:
        """Sum of an attribute of `Cost` over all operators."""
        return sum(getattr(operation.cost, what) for operation in self.operations)


def read_operations(model: Any) -> OperationGraph:
    """Take a built Keras model apart, models inside it as well.

    Raises:
        ModelError: an open shape, or a model that is no graph of layers, such as a class with a `call` of its own.
    """
    builder = _Builder()
    graph = _graph_of(model)
    inputs = tuple(builder.new_tensor(tensor) for tensor in graph.inputs)
    builder.walk(graph)
    outputs = tuple(builder.place[id(tensor)] for tensor in graph.outputs)
    return OperationGraph(tuple(builder.operations), tuple(builder.elements), inputs, outputs, tuple(builder.uncounted))


def _graph_of(model: Any) -> Any:
    """A Sequential model keeps its graph inside."""
    graph = getattr(model, "_functional", None) or model
    # Keras has no public name for the calls of layers in a graph.
    if not hasattr(graph, "_nodes_by_depth"):
        raise ModelError(f"model {model.name!r} is no graph of layers, so it cannot be counted; build it from layers")
    return graph


class _Builder:
    """Grows the graph, call by call."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.elements: list[int] = []
        self.uncounted: list[str] = []
        self.place: dict[int, int] = {}
        """Keras tensor -> the tensor that holds its values."""
        self._maker: dict[int, int] = {}
        """Tensor -> the operator that writes it."""
        self._activated: set[int] = set()
        """Operators that already have an activation at their end."""

    def new_tensor(self, tensor: Any) -> int:
        self.elements.append(elements_of(tensor))
        self.place[id(tensor)] = len(self.elements) - 1
        return self.place[id(tensor)]

    def walk(self, graph: Any) -> None:
        depths: dict[int, list[Any]] = graph._nodes_by_depth
        nodes = [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
        readers = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
        readers.update(id(tensor) for tensor in graph.outputs)
        for node in nodes:
            kinds = kinds_of(node.operation)
            if "InputLayer" in kinds:
                continue
            if "Model" in kinds:
                self._enter(_graph_of(node.operation), node)
            elif not self._melt(node, readers):
                self._append(node)

    def _enter(self, inner: Any, node: Any) -> None:
        for outside, inside in zip(node.input_tensors, inner.inputs, strict=True):
            self.place[id(inside)] = self.place[id(outside)]
        self.walk(inner)
        for outside, inside in zip(node.outputs, inner.outputs, strict=True):
            self.place[id(outside)] = self.place[id(inside)]

    def _melt(self, node: Any, readers: Counter[int]) -> bool:
        """Whether the layer is no operator of its own; its output then lies where its input lies."""
        layer, kinds = node.operation, kinds_of(node.operation)
        if not any(kind in VANISHING for kind in kinds):
            if not ("BatchNormalization" in kinds or is_relu(layer)):
                return False
            maker = self._maker.get(self.place[id(node.input_tensors[0])])
            if maker is None or maker in self._activated or readers[id(node.input_tensors[0])] > 1:
                return False
            before = self.operations[maker]
            if is_relu(layer):
                if before.kind not in ACTIVATING:
                    return False
                self._activated.add(maker)
            elif before.kind not in FOLDING:
                return False
            else:
                self.operations[maker] = replace(before, cost=replace(before.cost, biases=before.cost.channels))
        self.place[id(node.outputs[0])] = self.place[id(node.input_tensors[0])]
        return True

    def _append(self, node: Any) -> None:
        layer, kinds = node.operation, kinds_of(node.operation)
        if is_uncounted(layer):
            self.uncounted.append(layer.name)
        tensors = tuple(self.place[id(tensor)] for tensor in node.input_tensors)
        if any(kind in SAME_BYTES for kind in kinds):
            self._add(layer.name, type(layer).__name__, Cost(elements=self.elements[tensors[0]]), tensors, tensors)
            self.place[id(node.outputs[0])] = tensors[0]
            return
        *earlier, last = costs_of(layer, node)
        for cost in earlier:
            self.elements.append(cost.elements)
            tensors = self._add(layer.name, type(layer).__name__, cost, tensors, (len(self.elements) - 1,))
        outputs = tuple(self.new_tensor(tensor) for tensor in node.outputs)
        kind = next((kind for kind in kinds if kind in ACTIVATING), type(layer).__name__)
        self._add(layer.name, kind, last, tensors, outputs)
        activation = own_activation(layer)
        if activation:
            if not is_relu_name(activation):
                end = self.new_tensor(node.outputs[0])
                self._add(layer.name, activation, Cost(elements=last.elements), outputs, (end,))
            self._activated.add(len(self.operations) - 1)

    def _add(
        self, layer: str, kind: str, cost: Cost, inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> tuple[int, ...]:
        self.operations.append(Operation(layer, kind, cost, inputs, outputs))
        for tensor in outputs:
            self._maker[tensor] = len(self.operations) - 1
        return outputs
