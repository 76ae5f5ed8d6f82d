"""What a model costs a device, from the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.host.budget.activation_memory import peak_elements
from edge_cnn.host.budget.file_size import FLOAT32, INT8, file_bytes
from edge_cnn.host.budget.operations import OperationGraph, read_operations


@dataclass(frozen=True)
class ModelCosts:
    """Costs of one model; whatever depends on the input is for one sample.

    Attributes:
        name: of the model.
        parameters: as Keras counts them, moving averages of batch normalization included.
        graph: its operators, with the costs of each.
    """

    name: str
    parameters: int
    graph: OperationGraph

    @property
    def macs(self) -> int:
        """Multiplications of weights, each with an addition."""
        return self.graph.total("macs")

    def size(self, scheme: str) -> int:
        """Estimated bytes of the `.tflite` file, "int8" or "float32"."""
        return file_bytes(self.graph, scheme)

    def activation_bytes(self, scheme: str) -> int:
        """Bytes of activations that must be in memory at one time, at the least."""
        return peak_elements(self.graph) * (4 if scheme == FLOAT32 else 1)

    def to_json(self) -> dict[str, Any]:
        """Totals, and the operators that have weights."""
        return {
            "parameters": self.parameters,
            "macs": self.macs,
            "int8_bytes": self.size(INT8),
            "float32_bytes": self.size(FLOAT32),
            "int8_activation_bytes": self.activation_bytes(INT8),
            "uncounted": list(self.graph.uncounted),
            "layers": [
                {"name": o.layer, "kind": o.kind, "macs": o.cost.macs, "weights": o.cost.weights + o.cost.biases}
                for o in self.graph.operations
                if o.cost.weights
            ],
        }


def model_costs(model: Any) -> ModelCosts:
    """Count a built Keras model. Raises: ModelError: as `read_operations`."""
    return ModelCosts(model.name, model.count_params(), read_operations(model))
