"""Whether the units of a layer are alike, epoch by epoch: what identical initial weights come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import CheckFailedError
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.initialization import RANDOM
from edge_cnn.host.training.loop import View
from edge_cnn.host.training.records import EpochRecord, TrainResult
from edge_cnn.host.training.units import layer_units, leaf_layers


@dataclass(frozen=True)
class Units:
    """The units of the layers at one time.

    Attributes:
        layers: names of those with units, in the order of the network.
        counts: units of each.
        distinct: how many different ones among them, bit for bit.
        gaps: largest difference of one weight between two units of the layer.
    """

    layers: tuple[str, ...]
    counts: tuple[int, ...]
    distinct: tuple[int, ...]
    gaps: tuple[float, ...]

    @property
    def hidden(self) -> list[int]:
        """Indices of the layers before the last, which alone is told by the labels what each unit is for."""
        return list(range(len(self.layers) - 1))


def measure_units(model: Any) -> Units:
    """Of a `keras.Model`."""
    found = [(layer.name, rows) for layer in leaf_layers(model) if (rows := layer_units(layer)) is not None]
    return Units(
        tuple(name for name, _ in found),
        tuple(len(rows) for _, rows in found),
        tuple(len(np.unique(rows, axis=0)) for _, rows in found),
        tuple(float(np.ptp(rows, axis=0).max()) for _, rows in found),
    )


class UnitWatch:
    """Measures the units after each epoch; to be told of each as `on_view`."""

    def __init__(self) -> None:
        self.epochs: tuple[Units, ...] = ()
        """One an epoch, the untrained network first."""

    def on_view(self, view: View) -> None:
        self.epochs = (*self.epochs, measure_units(view.graph.model))


@dataclass(frozen=True)
class Course:
    """A training as its units went.

    Attributes:
        history: one record an epoch.
        epochs: units after each of them.
        weights: of each layer's units in the end, by name: float32 (units, weights).
    """

    history: tuple[EpochRecord, ...]
    epochs: tuple[Units, ...]
    weights: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Symmetry:
    """A start without chance beside a random one.

    Attributes:
        initialization: of the first.
        chosen: the training from it.
        beside: the same training from random weights; None where it was interrupted.
    """

    initialization: str
    chosen: Course
    beside: Course | None

    def to_json(self) -> list[dict[str, Any]]:
        """What became of each layer's units."""
        last = self.chosen.epochs[-1]
        columns = zip(last.layers, last.counts, last.distinct, last.gaps, strict=True)
        return [
            {"layer": layer, "units": count, "distinct": distinct, "largest_difference": gap}
            for layer, count, distinct, gap in columns
        ]


def symmetry_of(
    result: TrainResult, watch: UnitWatch, run: Callable[[TrainConfig, UnitWatch], TrainResult]
) -> Symmetry:
    """Hold a training against the same one from random weights, which is run here; Ctrl-C leaves it out.

    Args:
        result: of the training from weights that are not random.
        watch: what saw it.
        run: `train` with the same samples; its units are to be seen by the watch.
    """
    config, beside = result.config, UnitWatch()
    chosen = _course(result, watch)
    if result.interrupted:
        return Symmetry(config.initialization, chosen, None)
    try:
        other = run(replace(config, initialization=RANDOM), beside)
    except (CheckFailedError, KeyboardInterrupt):
        return Symmetry(config.initialization, chosen, None)
    return Symmetry(config.initialization, chosen, None if other.interrupted else _course(other, beside))


def _course(result: TrainResult, watch: UnitWatch) -> Course:
    rows = {layer.name: layer_units(layer) for layer in leaf_layers(result.model)}
    weights = {name: units for name, units in rows.items() if units is not None}
    return Course(result.history, watch.epochs, weights)
