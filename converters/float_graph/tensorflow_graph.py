"""A float graph in TensorFlow's operators, for any batch, with a hook on every weight and every activation.

The same arithmetic as the file, but differentiable and for any number of images: quantization-aware training rounds in
the hooks, tf2onnx reads the function, and a `.tflite` source predicts with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensorflow_operators import OPERATORS, Context
from edge_cnn.core.errors import ModelError

Hook = Callable[[int, Any], Any]
"""Tensor index, its value -> the value to go on with."""


def forward(
    graph: FloatGraph,
    *,
    constants: Mapping[int, Any] | None = None,
    on_constant: Hook | None = None,
    on_activation: Hook | None = None,
) -> Callable[[Any], Any]:
    """A function from model inputs (n, ...) to the graph's first output (n, ...).

    Args:
        graph: the graph, of one input.
        constants: tensor index -> what to read in place of a constant: trained variables.
        on_constant: sees each weight and bias before its operator does.
        on_activation: sees the input and each output of an operator, after its fused activation.

    Raises:
        ModelError: an operator that is not in the table, named with the layer that it makes.
    """
    check_operators(graph)
    replaced = dict(constants or {})

    def run(inputs: Any) -> Any:
        import tensorflow as tf

        values: dict[int, Any] = {}

        def write(index: int, value: Any) -> None:
            values[index] = value if on_activation is None else on_activation(index, value)

        def read(index: int) -> Any:
            if index not in values:
                value = replaced.get(index)
                if value is None:
                    value = tf.constant(graph.constant(index))
                values[index] = value if on_constant is None else on_constant(index, value)
            return values[index]

        write(graph.inputs[0], inputs)
        for operator in graph.operators:
            result = OPERATORS[operator.op](Context(tf, graph, operator, read))
            results = result if isinstance(result, (list, tuple)) else (result,)
            for index, value in zip(operator.outputs, results, strict=True):
                write(index, value)
        return values[graph.outputs[0]]

    return run


def check_operators(graph: FloatGraph) -> None:
    """Raises: ModelError: the graph has an operator that `forward` cannot build."""
    for operator in graph.operators:
        if operator.op not in OPERATORS:
            raise ModelError(
                f"operator {operator.op} ({operator.name}) is not one that edge_cnn reads from a .tflite; "
                "give the model as .keras, SavedModel or .onnx"
            )
