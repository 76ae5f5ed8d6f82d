"""What a network's loss is, for a network that only lies at hand with its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures.architecture import LOGITS
from edge_cnn.host.tensorflow_import import import_tensorflow

SampleLosses = Callable[[Any, Any, Any], Any]
"""(outputs (n, ...), labels (n,), inputs (n, ...)) -> loss of each sample (n,), all of them tensors."""


def find_losses(name: str) -> SampleLosses:
    """Raises: InputError: unknown name."""
    if name not in _LOSSES:
        raise InputError(f"unknown loss {name!r}; known: {', '.join(_LOSSES)}")
    return _LOSSES[name]


def is_classifier(name: str) -> bool:
    """Whether the objective has answers that are right or wrong."""
    return name != "reconstruction"


def loss_output(model: Any, name: str) -> Any:
    """The tensor that the objective reads: the logits of a classifier, since a softmax may round to 0; else the output.

    Raises:
        InputError: a classifier without a layer named `LOGITS`.
    """
    if not is_classifier(name):
        return model.outputs[0]
    names = [layer.name for layer in model.layers]
    if LOGITS not in names:
        raise InputError(
            f"the network has no layer {LOGITS!r}; its last layers are {', '.join(names[-3:])}; rename one"
        )
    return model.get_layer(LOGITS).output


def _cross_entropy(logits: Any, labels: Any, _inputs: Any) -> Any:
    tf, _ = import_tensorflow()
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _squared_error(logits: Any, labels: Any, _inputs: Any) -> Any:
    """sum_k (p_k - y_k)^2, the Brier score."""
    tf, _ = import_tensorflow()
    truth = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return tf.reduce_sum(tf.square(tf.nn.softmax(logits) - truth), axis=-1)


def _reconstruction(outputs: Any, _labels: Any, inputs: Any) -> Any:
    tf, _ = import_tensorflow()
    squares = tf.square(outputs - tf.reshape(inputs, tf.shape(outputs)))
    return tf.reduce_mean(squares, axis=list(range(1, len(squares.shape))))


_LOSSES: dict[str, SampleLosses] = {
    "cross-entropy": _cross_entropy,
    "squared-error": _squared_error,
    "reconstruction": _reconstruction,
}
