"""The layer of Keras 2 that stood for a call of a TensorFlow function, for functions that only compute."""

from __future__ import annotations

from typing import Any

from edge_cnn.core.errors import ModelError

FUNCTIONS = {
    "__operators__.add": "add",
    "cast": "cast",
    "clip_by_value": "clip_by_value",
    "concat": "concat",
    "identity": "identity",
    "math.abs": "abs",
    "math.add": "add",
    "math.divide": "divide",
    "math.exp": "exp",
    "math.maximum": "maximum",
    "math.minimum": "minimum",
    "math.multiply": "multiply",
    "math.negative": "negative",
    "math.pow": "pow",
    "math.reduce_max": "reduce_max",
    "math.reduce_mean": "reduce_mean",
    "math.reduce_sum": "reduce_sum",
    "math.sigmoid": "sigmoid",
    "math.softplus": "nn.softplus",
    "math.sqrt": "sqrt",
    "math.square": "square",
    "math.subtract": "subtract",
    "math.tanh": "tanh",
    "math.truediv": "truediv",
    "nn.bias_add": "nn.bias_add",
    "nn.elu": "nn.elu",
    "nn.gelu": "nn.gelu",
    "nn.leaky_relu": "nn.leaky_relu",
    "nn.relu": "nn.relu",
    "nn.relu6": "nn.relu6",
    "nn.selu": "nn.selu",
    "nn.sigmoid": "sigmoid",
    "nn.silu": "nn.silu",
    "nn.softmax": "nn.softmax",
    "nn.swish": "nn.silu",
    "nn.tanh": "tanh",
    "reshape": "reshape",
}
"""As the configuration names it -> in the module tensorflow. A name from a file is looked up here and nowhere else."""


def operation_layer(tf: Any, keras: Any) -> Any:
    """The class of the layer, with the configuration that `keras2_config` writes."""

    class TensorFlowOperation(keras.layers.Layer):  # type: ignore[misc, name-defined]
        """A call of a function with tensors and constants."""

        def __init__(self, function: str, first: list[Any], arguments: dict[str, Any], **kwargs: Any) -> None:
            super().__init__(**kwargs)
            if function not in FUNCTIONS:
                raise ModelError(
                    f"the model calls the TensorFlow function {function!r} (layer {self.name!r}), "
                    "which is not read from a file of Keras 2; export a SavedModel"
                )
            self._function, self._first, self._arguments = function, first, arguments

        def call(self, inputs: Any) -> Any:
            tensors = inputs if isinstance(inputs, (list, tuple)) else [inputs]

            def filled(entry: dict[str, Any]) -> Any:
                return tensors[entry["input"]] if "input" in entry else entry["constant"]

            function: Any = tf
            for part in FUNCTIONS[self._function].split("."):
                function = getattr(function, part)
            first = [filled(entry) for entry in self._first]
            keywords = {key: filled(entry) for key, entry in self._arguments.items() if key != "name"}
            return function(first if self._function == "concat" else first[0], **keywords)

    return TensorFlowOperation
