"""A copy of a network whose weights can be moved about while the network itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures.architecture import LOGITS
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.objectives import Objective, find_objective

BATCH = 512

STATISTICS_SAMPLES = 1024
"""Batch norm statistics are those of one batch of so many samples at most, which bounds the memory."""


@dataclass(frozen=True)
class Twin:
    """A copy of a network on a fixed set of samples.

    Attributes:
        network: `keras.Model`, inputs -> what the objective reads; its weights are nobody else's.
        place: give it weights, in the order of the original's `get_weights()`.
        measure: mean loss and share of right answers with the weights that `network` has now; the latter is NaN where
            the objective has no answers.
        renew_statistics: set the moving averages of batch norm to the statistics of the samples under these weights.
    """

    network: Any
    place: Callable[[Sequence[NDArray[Any]]], None]
    measure: Callable[[], tuple[float, float]]
    renew_statistics: Callable[[], None]


def make_twin(model: Any, inputs: NDArray[np.float32], labels: NDArray[np.int64], objective_name: str) -> Twin:
    """Copy `model` with its weights, on the samples that it is to be measured on.

    Args:
        model: `keras.Model`, Functional or Sequential.
        inputs: float32 (n, height, width, channels).
        labels: int64 (n,).
        objective_name: a row of `OBJECTIVES`.

    Raises:
        InputError: unknown objective, or a classifier without logits.
    """
    tf, keras = import_tensorflow()
    objective = find_objective(objective_name)
    original = keras.Model(model.inputs, _output_of(model, objective))
    network = keras.models.clone_model(original, call_function=_normalize_by_batch, recursive=True)
    for copy, variable in zip(network.weights, original.weights, strict=True):
        copy.assign(variable)
    position = {id(variable): i for i, variable in enumerate(model.weights)}
    order = [position[id(variable)] for variable in original.weights]
    norms = [layer for layer in _all_layers(network) if _is_adaptive_norm(layer)]
    for layer in norms:
        layer.momentum = 0.0  # the statistics of the last batch alone
    data = tf.constant(inputs), tf.constant(labels)

    def place(weights: Sequence[NDArray[Any]]) -> None:
        network.set_weights([weights[i] for i in order])

    @tf.function(autograph=False)
    def batch_totals(start: Any) -> tuple[Any, Any]:
        chosen, answers = (part[start : start + BATCH] for part in data)
        outputs = network(chosen, training=False)
        right = tf.zeros_like(answers)
        if objective.classifies:
            right = tf.cast(tf.equal(tf.argmax(outputs, axis=-1), answers), tf.int64)
        return tf.reduce_sum(objective.losses(tf, outputs, answers, chosen)), tf.reduce_sum(right)

    def measure() -> tuple[float, float]:
        totals = [[float(total) for total in batch_totals(tf.constant(i))] for i in range(0, len(labels), BATCH)]
        loss, right = np.sum(totals, axis=0) / len(labels)
        return float(loss), float(right) if objective.classifies else float("nan")

    @tf.function(autograph=False)
    def run_by_batch() -> None:
        network(data[0][:STATISTICS_SAMPLES])

    return Twin(network, place, measure, run_by_batch if norms else lambda: None)


def _output_of(model: Any, objective: Objective) -> Any:
    """The logits of a classifier, since a softmax may round to 0; else what the network gives."""
    if not objective.classifies:
        return model.outputs[0]
    names = [layer.name for layer in model.layers]
    if LOGITS not in names:
        raise InputError(
            f"the network has no layer {LOGITS!r}; its last layers are {', '.join(names[-3:])}; rename one"
        )
    return model.get_layer(LOGITS).output


def _normalize_by_batch(layer: Any, *arguments: Any, **keywords: Any) -> Any:
    """Call batch norm as training does, unless it is frozen; every other layer as inference does."""
    if _is_adaptive_norm(layer) and keywords.get("training") is not False:
        keywords["training"] = True
    return layer(*arguments, **keywords)


def _is_adaptive_norm(layer: Any) -> bool:
    _, keras = import_tensorflow()
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


def _all_layers(model: Any) -> list[Any]:
    return [inner for layer in model.layers for inner in (_all_layers(layer) if hasattr(layer, "layers") else [layer])]
