"""From the curve of a range test to the learning rate: where the loss rises, and how far below that to train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CYCLE = 3
"""So many batches take turns; a point of the curve is a mean over one turn."""

RISE = 0.15
"""The edge is where the curve lies so much above its lowest point so far."""

EXPLODED = 4.0
"""So many times the loss of the untrained network: nothing to be learned from higher rates."""

BELOW_EDGE = 2.5
"""The peak of the schedule lies so many times below the edge: a test of a few steps bears more than a training does."""

LONGEST_PULL = 3.0
"""The choice moves half the way, in the logarithm, to the optimizer's usual rate, by at most this factor."""

USUAL = {"adam": 0.015, "adamw": 0.015, "sgd": 0.06, "rmsprop": 0.004}
"""Peaks in the middle of what does well with warm-up and cosine; measured by tests/benchmarks/learning_rates.py."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw and chose.

    Attributes:
        optimizer: a row of `OPTIMIZERS`.
        rates: of each step, growing.
        losses: on the step's batch before its update; the last may be infinite or NaN.
        curve: mean loss over the last `CYCLE` steps, as a share of the loss of the same batches at the start; 1 while
            less than a cycle is done.
        edge: rate at which the curve has risen from its lowest point; None where it never did.
        learning_rate: chosen.
        untested: why nothing was tried, so that `rates`, `losses` and `curve` are empty; empty where it was.
    """

    optimizer: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    curve: tuple[float, ...]
    edge: float | None
    learning_rate: float
    untested: str = ""

    @property
    def reason(self) -> str:
        """Why this rate, in one line."""
        chosen = f"{self.learning_rate:.2g}"
        usual = f"{self.optimizer}'s usual {USUAL[self.optimizer]:g}"
        if self.untested:
            return f"{chosen}, {self.optimizer}'s usual: {self.untested}"
        if self.edge is None:
            return f"{chosen}: the loss rose at no rate up to {self.rates[-1]:.2g}, so it is {usual}"
        return (
            f"{chosen}: the loss rises from {self.edge:.2g} on; {BELOW_EDGE:g} times below that, "
            f"moved half the way to {usual}"
        )

    def to_json(self) -> dict[str, Any]:
        def plain(values: Sequence[float]) -> list[float | None]:
            return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]

        return {
            "learning_rate": self.learning_rate,
            "reason": self.reason,
            "edge": self.edge,
            "rates": plain(self.rates),
            "losses": plain(self.losses),
            "curve": plain(self.curve),
        }


def choose_rate(optimizer: str, rates: NDArray[np.float64], losses: NDArray[np.float64]) -> RangeTest:
    """The edge of the curve and the rate to train with.

    Args:
        optimizer: a row of `OPTIMIZERS`.
        rates: float64 (steps,), growing.
        losses: before each step's update, float64 (steps,), batches of `CYCLE` in turn.
    """
    curve = relative_losses(losses)
    risen = np.flatnonzero(curve > np.minimum.accumulate(curve) * (1 + RISE))
    # A point of the curve is a mean over a turn, so it belongs to the middle of its rates.
    edge = float(np.exp(np.log(rates[max(risen[0] - CYCLE + 1, 0) : risen[0] + 1]).mean())) if len(risen) else None
    return RangeTest(
        optimizer,
        tuple(rates.tolist()),
        tuple(losses.tolist()),
        tuple(curve.tolist()),
        edge,
        _two_digits(_peak(edge, USUAL[optimizer])),
    )


def untested(optimizer: str, why: str) -> RangeTest:
    """The optimizer's usual rate, where no test is possible.

    Args:
        optimizer: a row of `OPTIMIZERS`.
        why: in words.
    """
    return RangeTest(optimizer, (), (), (), None, USUAL[optimizer], why)


def relative_losses(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last cycle as a share of the same batches' first losses: float64 (steps,); infinite for NaN.

    1 within the first cycle. Only the first step has the untrained network before it, so its batch, when it comes back,
    tells of an explosion that the mean would measure against itself.
    """
    losses = np.where(np.isfinite(losses), losses, np.inf)
    first = losses[:CYCLE].sum()
    means = [losses[i - CYCLE + 1 : i + 1].sum() / first if i >= CYCLE else 1.0 for i in range(len(losses))]
    for i in range(len(losses)):
        if (i == CYCLE and losses[i] > EXPLODED * losses[0]) or not np.isfinite(losses[i]):
            means[i] = losses[i] / losses[0]
    return np.nan_to_num(np.array(means), nan=np.inf, posinf=np.inf)


def _peak(edge: float | None, usual: float) -> float:
    if edge is None:
        return usual
    peak = edge / BELOW_EDGE
    pull = 0.5 * math.log(usual / peak)
    limit = math.log(LONGEST_PULL)
    # Few steps on few batches find the edge within a factor of two or three; the usual rate knows that much, too.
    return min(peak * math.exp(max(-limit, min(limit, pull))), edge)


def _two_digits(rate: float) -> float:
    """As it is printed, so that it can be given by hand."""
    return float(f"{rate:.2g}")
