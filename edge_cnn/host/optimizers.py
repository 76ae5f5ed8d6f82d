"""The optimizers that a name stands for, and the course of the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import InputError
from edge_cnn.host.tensorflow_import import import_tensorflow

WARM_UP_SHARE = 0.05
"""Share of the steps in which the learning rate rises from 0; Adam's first steps have little to average over."""

LAST_RATE = 0.01
"""Where the cosine ends, as a share of the peak (Loshchilov and Hutter 2017)."""


@dataclass(frozen=True)
class OptimizerEntry:
    """A row of the table of optimizers.

    Attributes:
        name: what the user types.
        learning_rate: the peak that is taken when none is given.
        make: Keras' `optimizers` module, learning rate or schedule -> optimizer.
    """

    name: str
    learning_rate: float
    make: Callable[[Any, Any], Any]


OPTIMIZERS: dict[str, OptimizerEntry] = {
    entry.name: entry
    for entry in (
        OptimizerEntry("adam", 0.003, lambda optimizers, rate: optimizers.Adam(rate)),
        OptimizerEntry("adamw", 0.003, lambda optimizers, rate: optimizers.AdamW(rate, weight_decay=0.01)),
        OptimizerEntry("sgd", 0.05, lambda optimizers, rate: optimizers.SGD(rate, momentum=0.9, nesterov=True)),
        OptimizerEntry("rmsprop", 0.001, lambda optimizers, rate: optimizers.RMSprop(rate)),
    )
}


def find_optimizer(name: str) -> OptimizerEntry:
    """Raises: InputError: unknown name."""
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimizer {name!r}; known: {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]


def make_optimizer(name: str, peak: float, steps: int) -> Any:
    """A Keras optimizer whose rate rises linearly to `peak` and then falls along half a cosine.

    Args:
        name: a row of `OPTIMIZERS`.
        peak: largest learning rate.
        steps: of the whole training.

    Raises:
        InputError: unknown name.
    """
    _, keras = import_tensorflow()
    entry = find_optimizer(name)
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), alpha=LAST_RATE, warmup_target=peak, warmup_steps=warm_up
    )
    return entry.make(keras.optimizers, schedule)
