"""What a training makes small: one row a loss, with its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import InputError

CROSS_ENTROPY, SQUARED_ERROR, RECONSTRUCTION = "cross-entropy", "squared-error", "reconstruction"


@dataclass(frozen=True)
class Objective:
    """A row of the table of objectives.

    Attributes:
        name: what the user types.
        summary: one line.
        unit: of the loss, for axes.
        classifies: whether there are right and wrong answers.
        losses: the module `tensorflow`, the network's output (n, ...) before its softmax, labels int64 (n,), the
            network's inputs (n, ...) -> loss of each sample, float32 (n,).
    """

    name: str
    summary: str
    unit: str
    classifies: bool
    losses: Callable[[Any, Any, Any, Any], Any]


def _cross_entropy(tf: Any, logits: Any, labels: Any, inputs: Any) -> Any:
    del inputs
    # Of the logits, not of the softmax: a logarithm of it would have to be clipped.
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _squared_error(tf: Any, logits: Any, labels: Any, inputs: Any) -> Any:
    del inputs
    gap = tf.nn.softmax(logits) - tf.one_hot(labels, tf.shape(logits)[1])
    return tf.reduce_sum(gap * gap, axis=1)


def _reconstruction(tf: Any, outputs: Any, labels: Any, inputs: Any) -> Any:
    del labels
    gap = tf.reshape(outputs, (tf.shape(outputs)[0], -1)) - tf.reshape(inputs, (tf.shape(inputs)[0], -1))
    return tf.reduce_mean(gap * gap, axis=1)


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(CROSS_ENTROPY, "cross-entropy of the softmax", "nats", True, _cross_entropy),
        # For two classes it is 1/2 (output - target)^2 with targets of -1 and +1 and the output tanh of half the
        # difference of the logits, the loss of the TensorFlow Playground; for more, the Brier score (Brier 1950).
        Objective(
            SQUARED_ERROR, "squared error of the softmax, summed over the classes", "squared", True, _squared_error
        ),
        Objective(RECONSTRUCTION, "mean squared difference of output and input", "squared", False, _reconstruction),
    )
}


def smoothed(objective: Objective, share: float) -> Callable[[Any, Any, Any, Any], Any]:
    """The losses of an objective where a share of the target goes to all classes (Szegedy et al. 2016, section 7).

    Args:
        objective: the cross-entropy, or any where the share is 0.
        share: in [0, 1).
    """
    if share == 0:
        return objective.losses

    def losses(tf: Any, logits: Any, labels: Any, inputs: Any) -> Any:
        alike = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
        return (1 - share) * objective.losses(tf, logits, labels, inputs) + share * alike

    return losses


def find_objective(name: str) -> Objective:
    """Raises: InputError: unknown name."""
    if name not in OBJECTIVES:
        raise InputError(f"unknown objective {name!r}; known: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
