"""What a side of the benchmark of head training is: a function of a number of iterations, which an oracle chooses.

All sides minimize the same: mean cross-entropy + L2/2 |V|^2 over the parameters V (classes, features + 1) of
standardized features with a 1 at their end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from head_shapes import Embeddings

L2 = 1e-3

Fit = Callable[[int], np.ndarray]
"""Iterations -> parameters (classes, features + 1)."""


@dataclass(frozen=True)
class Setting:
    """One of the ways to run a side, where it has several.

    Attributes:
        batch: samples a step; 0 takes all.
        rate: learning rate.
    """

    batch: int = 0
    rate: float = 0.0

    def __str__(self) -> str:
        return f"batch {self.batch or 'all'}, rate {self.rate:g}" if self.rate else ""


@dataclass(frozen=True)
class Side:
    """How one trains.

    Attributes:
        prepare: embeddings, threads, setting -> fit; what it makes before the fit is not timed.
        grid: iterations to try, growing.
        for_loss: whether it is asked to come near the least loss too; what solves another problem never would.
        settings: the quickest of them counts.
        imports: packages that it needs beyond numpy.
        install: how to get them.
        convert: writes what `prepare` reads into the embeddings' folder, in a process that is not measured.
    """

    prepare: Callable[[Embeddings, int, Setting], Fit]
    grid: tuple[int, ...]
    for_loss: bool = False
    settings: tuple[Setting, ...] = (Setting(),)
    imports: tuple[str, ...] = ()
    install: str = ""
    convert: Callable[[Embeddings, tuple[Setting, ...]], None] | None = None


def mini_batches(samples: int, size: int) -> list[slice]:
    """Slices of `size` samples, of all where that is 0, in the order in which they lie: a slice is no copy.

    The benchmark's samples lie in no order, so nothing is lost by that; of all batches each has the same size, and the
    few samples that are left over have no part in them.
    """
    size = min(size or samples, samples)
    return [slice(start, start + size) for start in range(0, samples - size + 1, size)]
