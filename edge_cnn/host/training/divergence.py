"""Why loss or gradient was not finite: where the first such number came from, and what went before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.steps import LastStep

LARGE_INPUT = 1e3
"""Inputs of a network lie about 0; beyond this they were not normalized."""

GROWN = 100.0
"""A gradient so many times as long as before has exploded."""


@dataclass(frozen=True)
class Divergence:
    """The step that could not be taken.

    Attributes:
        epoch: from 1.
        step, steps: of the epoch, from 1; and how many it has.
        rate: learning rate that the step before was taken with.
        cause: what was the first not finite, and where.
        evidence: what led there, in figures; may be empty.
        advice: what to try.
    """

    epoch: int
    step: int
    steps: int
    rate: float
    cause: str
    evidence: tuple[str, ...]
    advice: str

    def told(self) -> str:
        """All but the advice, in one line."""
        where = f"in epoch {self.epoch}: at step {self.step} of {self.steps}, learning rate {self.rate:g}"
        return "; ".join((f"{where}, {self.cause}", *self.evidence))


def find_divergence(
    graph: TrainingGraph,
    rows: NDArray[np.int32],
    seed: NDArray[np.int32],
    *,
    place: tuple[int, int, int],
    rate: float,
    peak: float,
) -> Divergence:
    """Look at the batch that gave it, with the weights as they were before.

    Args:
        graph: after `run` has stopped.
        rows: of the batch, int32 (batch,).
        seed: of its augmentation, int32 (2,).
        place: epoch, step and steps, as in `Divergence`.
        rate: of the step before.
        peak: the training's largest learning rate.
    """
    tf, _ = import_tensorflow()
    images, _ = graph.batch(rows, seed)
    before, last = graph.last_steps()
    largest_input = float(tf.reduce_max(tf.abs(images)))
    evidence = _course(before, last)
    if not math.isfinite(largest_input) or largest_input > LARGE_INPUT:
        if math.isfinite(largest_input):
            cause = f"the loss was not finite, and inputs are as large as {largest_input:.3g}"
        else:
            bad = ~np.isfinite(images.numpy()).reshape(len(rows), -1).all(axis=1)
            cause = f"inputs were not finite, first sample {int(rows[bad.argmax()])} of the training part"
        return Divergence(*place, rate, cause, evidence, "normalize the inputs, to 0..1 or to mean 0 and deviation 1")
    layer, largest_weight = _largest_weight(graph.model)
    if not math.isfinite(largest_weight):
        cause = f"weights of {layer} were not finite"
    else:
        evidence = (
            (*evidence, f"weights of {layer} had grown to {largest_weight:.3g}") if largest_weight > 1e3 else evidence
        )
        first = _first_overflow(graph.model, images)
        if first is not None:
            cause = f"what {first} gives was the first not finite"
        elif not math.isfinite(last.loss):
            cause = "the loss was not finite, though all layers were"
        else:
            cause = f"the gradient was not finite, though the loss was still {last.loss:.3g}"
    return Divergence(*place, rate, cause, evidence, f"give a smaller --learning-rate than {peak:g}, or --clip-norm 1")


def _course(before: LastStep, last: LastStep) -> tuple[str, ...]:
    """What loss and gradient did before they were not finite."""
    if before.gradient_norm == 0:  # the first step of all
        return ()
    figures = f"a step before the loss was {before.loss:.3g} and the length of the gradient {before.gradient_norm:.3g}"
    if math.isfinite(last.gradient_norm) and last.gradient_norm > GROWN * before.gradient_norm:
        return (f"{figures}, then {last.gradient_norm:.3g}: it exploded",)
    return (figures,)


def _largest_weight(model: Any) -> tuple[str, float]:
    """Layer and size of the largest weight; of one that is not finite, where there is any."""
    sizes = [(v.path.rpartition("/")[0], float(np.abs(v.numpy()).max(initial=0))) for v in model.trainable_variables]
    return max(sizes, key=lambda entry: entry[1] if math.isfinite(entry[1]) else math.inf)


def _first_overflow(model: Any, images: Any) -> str | None:
    """Name of the first layer, in the order of the network, whose outputs are not all finite."""
    tf, keras = import_tensorflow()
    layers = [layer for layer in model.layers if len(getattr(layer, "_inbound_nodes", ())) == 1]
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])(images, training=True)
    for layer, output in zip(layers, outputs, strict=True):
        if not bool(tf.reduce_all(tf.math.is_finite(tf.cast(output, tf.float32)))):
            return layer.name
    return None
