"""How a budget of memory is spent, above what runtimes and copies of the model file take.

Images are in flight while nothing is trained, so both may have nearly all of it: two batches of pixels, one being read
and one being computed, with their model inputs; or the rows and what the optimizer remembers, beside blocks of rows.
"""

from __future__ import annotations

from math import prod

from edge_cnn.core.errors import InputError
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.embedding_rows import BLOCK_VALUES

LEAST = 2**23
"""Bytes below which blocks and images alone would break the budget."""

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


def training_memory(budget: int, threads: int) -> int:
    """Bytes for rows and optimizer, when every thread works on a block of float32 and its codes."""
    return max(budget - 6 * BLOCK_VALUES * (threads + 1), LEAST // 4)
