"""Any number of samples through a graph whose batch size is fixed in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.core.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def batch_size(inputs: Sequence[TensorSpec]) -> int:
    """Samples that a graph with these inputs takes at a time; 1 where the file does not say."""
    return max(inputs[0].shape[0], 1) if inputs and inputs[0].shape else 1


def run_in_batches(
    run_batch: Callable[[list[NDArray[Any]]], list[NDArray[Any]]],
    arrays: Sequence[NDArray[Any]],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> list[NDArray[Any]]:
    """Samples in batches of the graph's own size, the last one filled up with its last sample.

    Args:
        run_batch: one array (batch, ...) a graph input -> one a graph output.
        arrays: (n, ...) for each graph input.
        inputs, outputs: of the graph.

    Returns:
        (n, ...) for each graph output.

    Raises:
        DataError: not one array for each input.
    """
    check_count(arrays, inputs)
    count, batch = len(arrays[0]), batch_size(inputs)
    columns: list[list[NDArray[Any]]] = [[] for _ in outputs]
    for start in range(0, count, batch):
        rows = [_padded(array[start : start + batch], batch) for array in arrays]
        for column, output in zip(columns, run_batch(rows), strict=True):
            column.append(output)
    empty = [np.empty((0, *spec.shape[1:]), spec.numpy_dtype) for spec in outputs]
    return [np.concatenate(c)[:count] if c else e for c, e in zip(columns, empty, strict=True)]


def check_count(arrays: Sequence[NDArray[Any]], inputs: Sequence[TensorSpec]) -> None:
    """Raises: DataError: not one array for each input."""
    if len(arrays) != len(inputs):
        raise DataError(f"the graph has {len(inputs)} inputs, got {len(arrays)} arrays; give one each")


def check_fit(arrays: Sequence[NDArray[Any]], inputs: Sequence[TensorSpec]) -> None:
    """For runtimes that do not look themselves. Raises: DataError: another count, dtype or shape of a sample."""
    check_count(arrays, inputs)
    for array, spec in zip(arrays, inputs, strict=True):
        if array.dtype != spec.numpy_dtype or array.shape[1:] != spec.shape[1:]:
            wanted = ", ".join(f"{s.dtype} {s.shape}" for s in inputs)
            got = ", ".join(f"{a.dtype} {a.shape}" for a in arrays)
            raise DataError(f"the model takes {wanted}, got {got}; reshape or convert the input")


def _padded(rows: NDArray[Any], batch: int) -> NDArray[Any]:
    missing = batch - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
