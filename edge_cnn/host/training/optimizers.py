"""The optimizers that a name stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import InputError
from edge_cnn.host.tensorflow_import import import_tensorflow

NOT_DECAYED = ("bias", "gamma", "beta")
"""Variables whose name holds one of these are not pulled to 0: it would shift what a layer gives, not simplify it."""


@dataclass(frozen=True)
class OptimizerEntry:
    """A row of the table of optimizers.

    Attributes:
        name: what the user types.
        learning_rate: the peak that is taken when none is given.
        weight_decay: what is taken when none is given.
        make: Keras' `optimizers` module, keyword arguments -> optimizer.
    """

    name: str
    learning_rate: float
    weight_decay: float
    make: Callable[..., Any]


OPTIMIZERS: dict[str, OptimizerEntry] = {
    entry.name: entry
    for entry in (
        OptimizerEntry("adam", 0.003, 0.0, lambda optimizers, **named: optimizers.Adam(**named)),
        OptimizerEntry("adamw", 0.003, 0.01, lambda optimizers, **named: optimizers.AdamW(**named)),
        OptimizerEntry(
            "sgd", 0.05, 0.0, lambda optimizers, **named: optimizers.SGD(momentum=0.9, nesterov=True, **named)
        ),
        OptimizerEntry("rmsprop", 0.001, 0.0, lambda optimizers, **named: optimizers.RMSprop(**named)),
    )
}


def find_optimizer(name: str) -> OptimizerEntry:
    """Raises: InputError: unknown name."""
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimizer {name!r}; known: {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]


def make_optimizer(name: str, weight_decay: float | None = None, clip_norm: float | None = None) -> Any:
    """A Keras optimizer whose learning rate is set from outside, before every step.

    Args:
        name: a row of `OPTIMIZERS`.
        weight_decay: decoupled from the gradient (Loshchilov and Hutter 2019), times the learning rate; not of biases
            and of normalization; None takes the optimizer's own.
        clip_norm: gradients of all layers together are shortened to this length; None leaves them.

    Raises:
        InputError: unknown name.
    """
    _, keras = import_tensorflow()
    entry = find_optimizer(name)
    decay = entry.weight_decay if weight_decay is None else weight_decay
    optimizer = entry.make(keras.optimizers, learning_rate=0.0, weight_decay=decay or None, global_clipnorm=clip_norm)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
