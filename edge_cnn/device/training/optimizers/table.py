"""The optimizers by name, and which one a problem gets."""

from __future__ import annotations

from edge_cnn.core.errors import InputError
from edge_cnn.device.training.optimizers.accelerated_gradient import accelerated_descent
from edge_cnn.device.training.optimizers.optimizer import Optimizer, OptimizerSettings
from edge_cnn.device.training.optimizers.quasi_newton import LEAST_PAIRS, pairs_that_fit, quasi_newton_descent
from edge_cnn.device.training.optimizers.sgd import stochastic_descent
from edge_cnn.device.training.problem import HeadProblem

AUTO, QUASI_NEWTON = "auto", "quasi-newton"

OPTIMIZERS: dict[str, Optimizer] = {
    QUASI_NEWTON: quasi_newton_descent,
    "accelerated": accelerated_descent,
    "sgd": stochastic_descent,
}

LARGE = 20_000
"""Samples from which one pass of mini-batches gains more than one full-batch step."""


def check_name(name: str) -> None:
    """Raises: InputError: there is no such optimizer."""
    if name not in (AUTO, *OPTIMIZERS):
        raise InputError(f"unknown optimizer {name!r}; known: {', '.join((AUTO, *OPTIMIZERS))}")


def choose_optimizer(name: str, problem: HeadProblem, settings: OptimizerSettings) -> str:
    """The optimizer of that name; `auto` takes mini-batches for large sets or where a step is given, else the fastest
    full-batch one whose memory fits.
    """
    check_name(name)
    if name != AUTO:
        return name
    if problem.samples >= LARGE or settings.learning_rate is not None:
        return "sgd"
    return QUASI_NEWTON if pairs_that_fit(problem, settings.memory) >= LEAST_PAIRS else "accelerated"
