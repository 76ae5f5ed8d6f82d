"""What a network and its hidden neurons give on a grid of points of the plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.architectures.architecture import LOGITS, SCORES
from edge_cnn.host.decision_surface.plane import Plane
from edge_cnn.host.tensorflow_import import import_tensorflow


@dataclass(frozen=True)
class Surfaces:
    """Values on a grid; the first row is the upper edge, the first column the left one.

    Attributes:
        scores: of the network, float32 (side, side, classes).
        neurons: by hidden layer, first layer first, what its neurons give: float32 (side, side, neurons).
    """

    scores: NDArray[np.float32]
    neurons: Mapping[str, NDArray[np.float32]]


class SurfaceProbe:
    """Looks at one network again and again, while its weights change."""

    def __init__(self, model: Any, plane: Plane) -> None:
        """Prepare.

        Args:
            model: `keras.Model` for which `can_be_probed`.
            plane: where to look.
        """
        self._tf, keras = import_tensorflow()
        self.model, self.plane = model, plane
        hidden = _hidden(model)
        self._names = tuple(hidden)
        self._all = keras.Model(model.input, [*hidden.values(), model.get_layer(SCORES).output])
        self._scores = keras.Model(model.input, model.get_layer(SCORES).output)

    def look(self, side: int) -> Surfaces:
        """All surfaces on `side` x `side` points."""
        *neurons, scores = (self._grid(values, side) for values in self._all(self._points(side), training=False))
        return Surfaces(scores, dict(zip(self._names, neurons, strict=True)))

    def scores(self, side: int) -> NDArray[np.float32]:
        """Those of the network alone: float32 (side, side, classes)."""
        return self._grid(self._scores(self._points(side), training=False), side)

    def answers(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of samples float32 (n, *input_shape): float32 (n, classes)."""
        return np.asarray(self._scores(self._tf.constant(inputs), training=False))

    def _points(self, side: int) -> Any:
        return self._tf.constant(self.plane.grid(side))

    @staticmethod
    def _grid(values: Any, side: int) -> NDArray[np.float32]:
        return np.asarray(values).reshape(side, side, -1)


def can_be_probed(model: Any) -> bool:
    """Whether it is a classifier as the table of architectures has them."""
    return {LOGITS, SCORES} <= {layer.name for layer in model.layers}


def _hidden(model: Any) -> dict[str, Any]:
    """The output of each hidden layer by the name of its weights: what its activation gives, if that is a layer too."""
    outputs: dict[str, Any] = {}
    name: str | None = None
    for layer in model.layers:
        if layer.name == LOGITS:
            break
        if hasattr(layer, "kernel"):
            name = layer.name
        if name is not None and len(layer.output.shape) == 2:
            outputs[name] = layer.output
    return outputs
