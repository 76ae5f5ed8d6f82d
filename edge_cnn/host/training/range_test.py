"""The learning-rate range test: rates that grow from step to step until the loss rises (Smith 2017).

At most one epoch's steps, on the network that is then trained: weights, optimizer and random states are put back, so
that the training is the one that the chosen rate would have given.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.training.batches import epoch_batches
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.rate_choice import CYCLE, EXPLODED, RangeTest, choose_rate, relative_losses, untested
from edge_cnn.host.training.steps import Steps

LOWEST, HIGHEST = 1e-4, 10.0
"""Where the rates begin and end; five decades, as a few steps have to do."""

LOWER_BY = 1e-3
"""Where the loss rises from the start, the rest of the steps is spent three decades lower."""

MOST_STEPS = 100
"""More make the curve finer, not the choice better."""

FEWEST_STEPS = 3 * CYCLE
"""With fewer the rate grows so much from turn to turn that the edge could be anywhere."""


def range_test(graph: TrainingGraph, config: TrainConfig, samples: int) -> RangeTest:
    """Try rates on the untrained network and choose the peak of the training's schedule.

    Args:
        graph: what will be trained; it is left as it was. An epoch of fewer than `FEWEST_STEPS` steps leaves the
            optimizer's usual rate.
        config: of the training.
        samples: of the training part.
    """
    batch = min(config.batch_size, samples)
    left = min(samples // batch, MOST_STEPS)
    if left < FEWEST_STEPS:
        return untested(
            config.optimizer,
            f"an epoch has {left} of the {FEWEST_STEPS} steps that a range test takes at least"
            + (f"; --batch-size {samples // FEWEST_STEPS} makes so many" if samples >= FEWEST_STEPS else ""),
        )
    before = graph.get_state()
    lowest = LOWEST
    while True:
        rates = np.geomspace(lowest, HIGHEST * lowest / LOWEST, left)
        losses = _losses(graph, rates, _batches(config, samples, batch))
        graph.set_state(before)
        left -= len(losses)
        tested = choose_rate(config.optimizer, rates[: len(losses)], losses)
        if tested.edge is None or tested.edge > 10 * lowest or left <= 2 * CYCLE or lowest < LOWEST:
            return tested
        lowest *= LOWER_BY


def _batches(config: TrainConfig, samples: int, batch: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Few batches again and again, with the same changes: each is compared with itself.

    A batch that comes once says more about itself than about the rate: of ten points each, one batch of an untrained
    network has twice the loss of another.
    """
    batches = epoch_batches(samples, batch, config.seed, 1)
    return batches.order[:CYCLE], batches.seeds[:CYCLE]


def _losses(
    graph: TrainingGraph, rates: NDArray[np.float64], batches: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> NDArray[np.float64]:
    """The loss before each step, until it explodes."""
    order, seeds = batches
    losses: list[float] = []
    for step, rate in enumerate(rates.tolist()):
        row = slice(step % len(order), step % len(order) + 1)
        graph.start_epoch()
        taken = graph.run(Steps(order[row], seeds[row], np.array([rate], np.float32), np.zeros(1, np.float32)))
        losses.append(graph.totals().loss if taken else math.inf)
        if not math.isfinite(losses[-1]) or relative_losses(np.array(losses))[-1] > EXPLODED:
            break
    return np.array(losses)
