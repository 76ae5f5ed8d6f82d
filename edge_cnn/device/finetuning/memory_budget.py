"""How a budget of memory is spent, above what runtimes and copies of the model file take.

Images are in flight while nothing is trained, so both may have nearly all of it: two batches of pixels, one being read
and one being computed, with their model inputs; or the rows and what the optimizer remembers, beside blocks of rows.
"""

from __future__ import annotations

from math import prod

from edge_cnn.core.errors import InputError
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.training.embedding_rows import BLOCK_VALUES

LEAST = 2**24
"""Bytes below which blocks, images and the lists of the samples alone would break the budget."""

LISTS = 6 * 2**20
"""For what there is of every sample whatever its size: names, digests, labels, places in the file."""

BLOCK_BYTES = 12
"""For each value of a block that a thread works on: float32, the codes it comes from, and sums of the gradient."""

IMAGE_COPIES = 8
"""Bytes in flight for each value of a batch: pixels twice, codes or floats, and what a decoder takes."""


def check_memory(budget: int) -> None:
    """Raises: InputError: too little to work with."""
    if budget < LEAST:
        raise InputError(f"fine-tuning needs at least {LEAST >> 20} MB of memory, got {budget / 2**20:.3g}; allow more")


def batch_size(model_input: TensorSpec, budget: int) -> int:
    """Images that may be read at once."""
    values = max(prod(model_input.shape[1:]), 1)
    return max(budget // 2 // (IMAGE_COPIES * values), 1)


def training_memory(budget: int) -> int:
    """Bytes for rows and optimizer, beside the lists of samples and a block; the same for any number of threads, since
    results must not depend on that."""
    return LEAST - LISTS - BLOCK_BYTES * BLOCK_VALUES + 3 * (budget - LEAST) // 4


def training_threads(budget: int, threads: int) -> int:
    """Of so many threads those that may each work on a block, in the memory that `training_memory` leaves."""
    return min(threads, 1 + (budget - LEAST) // 4 // (BLOCK_BYTES * BLOCK_VALUES))
