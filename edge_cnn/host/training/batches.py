"""Which samples an epoch's steps take, and from which seeds they are changed: a pure function of seed and epoch.

So a training that goes on in the middle needs nothing but the number of the epoch and of the step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ORDER, _CHANGES = 1, 2
"""Two streams of random numbers that have nothing to do with each other."""


@dataclass(frozen=True)
class EpochBatches:
    """The steps of one epoch.

    Attributes:
        order: rows of the training part, int32 (steps, batch).
        seeds: of augmentation, int32 (steps, 2).
    """

    order: NDArray[np.int32]
    seeds: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.order)


def epoch_batches(samples: int, batch_size: int, seed: int, epoch: int) -> EpochBatches:
    """The batches of an epoch; what does not fill a batch sits this epoch out.

    Args:
        samples: of the training part.
        batch_size: at most as many.
        seed: of the training.
        epoch: from 1.
    """
    steps = samples // batch_size
    order = np.random.default_rng((seed, epoch, _ORDER)).permutation(samples)[: steps * batch_size]
    seeds = np.random.default_rng((seed, epoch, _CHANGES)).integers(0, 2**31 - 1, (steps, 2), dtype=np.int32)
    return EpochBatches(order.reshape(steps, batch_size).astype(np.int32), seeds)
