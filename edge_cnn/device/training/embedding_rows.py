"""Where training reads standardized embeddings from: memory, or codes that are widened block by block.

Codes are a quarter of the floats that they stand for, and they may lie in a file (`EmbeddingCache`): what is in memory
as floats at any time is a block or a mini-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.device.finetuning.embedding_store import CodeTable
from edge_cnn.device.training.standardization import Standardization

BLOCK_VALUES = 2**18
"""Values of a block: 1 MB of float32, which stays in the cache between its two products."""

Choice = slice | NDArray[np.int64]


@dataclass(frozen=True)
class CodesAlone:
    """Rows and what standardizes them: a product with them is that with the codes, and one sum a class.

    To widen a code costs an eighth of what it costs to widen and to standardize it.

    Attributes:
        rows: the codes as floats, each row followed by a 1.
        offset, factor: float32 (features,): a standardized value is (code - offset) * factor.
    """

    rows: EmbeddingRows
    offset: NDArray[np.float32]
    factor: NDArray[np.float32]

    def parameters(self, parameters: NDArray[np.float32]) -> NDArray[np.float32]:
        """Those that give the codes the logits that `parameters` (classes, features + 1) give the standardized rows."""
        folded = np.empty_like(parameters)
        np.multiply(parameters[:, :-1], self.factor, out=folded[:, :-1])
        folded[:, -1] = parameters[:, -1] - folded[:, :-1] @ self.offset
        return folded

    def gradient(self, gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """A derivative by those, (classes, features + 1), turned into that by `parameters`, in place."""
        gradient[:, :-1] -= gradient[:, -1:] * self.offset
        gradient[:, :-1] *= self.factor
        return gradient


class EmbeddingRows(Protocol):
    """Standardized embeddings of n samples, each followed by a 1 that carries the bias."""

    @property
    def samples(self) -> int:
        """How many."""
        ...

    @property
    def width(self) -> int:
        """Features and the 1."""
        ...

    @property
    def resident(self) -> int:
        """Bytes that lie in memory as floats all the time."""
        ...

    @property
    def codes_alone(self) -> CodesAlone | None:
        """The same rows before they are standardized, where a product with those is exact enough; else None."""
        ...

    def take(self, choice: Choice) -> NDArray[np.float32]:
        """The rows at a slice or at indices: float32 (rows, width), not to be written to."""
        ...

    def select(self, members: NDArray[np.int64]) -> EmbeddingRows:
        """The samples at `members`, in that order."""
        ...


@dataclass(frozen=True)
class DenseRows:
    """Rows in memory.

    Attributes:
        values: float32 (n, width), the last column 1.
    """

    values: NDArray[np.float32]

    @property
    def samples(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        return int(self.values.shape[1])

    @property
    def resident(self) -> int:
        return self.values.nbytes

    @property
    def codes_alone(self) -> None:
        return None

    def take(self, choice: Choice) -> NDArray[np.float32]:
        return self.values[choice]

    def select(self, members: NDArray[np.int64]) -> DenseRows:
        return DenseRows(self.values[members])


@dataclass(frozen=True)
class CodeRows:
    """Rows that are made from codes when they are taken.

    Attributes:
        codes: (m, features), codes or floats as the backbone gives them; may lie in a file.
        members: int64 (n,), the rows of `codes` that belong, or None for all.
        offset, factor: float32 (features,): a standardized value is (code - offset) * factor; both None for (code).
    """

    codes: CodeTable
    members: NDArray[np.int64] | None
    offset: NDArray[np.float32] | None
    factor: NDArray[np.float32] | None

    @property
    def samples(self) -> int:
        return len(self.codes) if self.members is None else len(self.members)

    @property
    def width(self) -> int:
        return int(self.codes.shape[1]) + 1

    @property
    def resident(self) -> int:
        return 0

    @property
    def codes_alone(self) -> CodesAlone | None:
        # Eight bits: the codes are not so much larger than their deviations that float32 would miss the difference.
        if self.codes.dtype.itemsize > 1 or self.offset is None or self.factor is None:
            return None
        return CodesAlone(CodeRows(self.codes, self.members, None, None), self.offset, self.factor)

    def take(self, choice: Choice) -> NDArray[np.float32]:
        raw: NDArray[Any] = self.codes[choice if self.members is None else self.members[choice]]
        rows = np.empty((len(raw), self.width), np.float32)
        if self.offset is None or self.factor is None:
            rows[:, :-1] = raw
        else:
            np.subtract(raw, self.offset, out=rows[:, :-1], casting="same_kind")
            rows[:, :-1] *= self.factor
        rows[:, -1] = 1.0
        return rows

    def select(self, members: NDArray[np.int64]) -> CodeRows:
        chosen = members if self.members is None else self.members[members]
        return CodeRows(self.codes, chosen, self.offset, self.factor)


def dense_rows(embeddings: NDArray[Any]) -> DenseRows:
    """Rows of standardized embeddings (n, features) in memory."""
    values = np.ones((len(embeddings), embeddings.shape[1] + 1), np.float32)
    values[:, :-1] = embeddings
    return DenseRows(values)


DENSE_SHARE = 0.65
"""Part of the memory that rows may take as floats: to widen codes in every pass costs up to half of it again."""


def open_rows(
    codes: CodeTable, quantization: QuantizationParams | None, standardization: Standardization, memory: int
) -> EmbeddingRows:
    """Rows of codes (n, features): in memory where that leaves enough of `memory` bytes to work with, else by block."""
    scale, zero_point = (1.0, 0) if quantization is None else (quantization.scale, quantization.zero_point)
    offset = zero_point + standardization.mean / scale
    rows = CodeRows(codes, None, offset.astype(np.float32), (scale / standardization.scale).astype(np.float32))
    if 4 * rows.samples * rows.width > DENSE_SHARE * memory:
        return rows
    return DenseRows(rows.take(slice(None)))


def block_slices(rows: EmbeddingRows, values: int = BLOCK_VALUES) -> list[slice]:
    """Slices that cover all rows, of at most so many values each; they depend on the shape alone."""
    length = max(values // rows.width, 1)
    return [slice(start, min(start + length, rows.samples)) for start in range(0, rows.samples, length)]


def each_block(rows: EmbeddingRows) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """All rows, block by block, with where they stand."""
    for where in block_slices(rows):
        yield where, rows.take(where)


LANES = 4
"""Sums that are kept apart, block i in lane i mod LANES: their number must not depend on the number of threads, or the
last bits of a result would."""


def over_blocks(
    rows: EmbeddingRows,
    work: Callable[[slice, NDArray[np.float32]], NDArray[Any] | None],
    threads: int,
    values: int = BLOCK_VALUES,
) -> NDArray[Any] | None:
    """Call `work` on each block of at most so many values, over so many threads, and sum what it gives; the sum does
    not depend on `threads`.
    """
    slices = block_slices(rows, values)

    def lane(number: int) -> NDArray[Any] | None:
        total: NDArray[Any] | None = None
        for where in slices[number::LANES]:
            part = work(where, rows.take(where))
            if total is None:
                total = part
            elif part is not None:
                total += part
        return total

    numbers = range(min(LANES, len(slices)))
    if threads > 1 and len(numbers) > 1:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(threads) as pool:
            sums = list(pool.map(lane, numbers))
    else:
        sums = [lane(number) for number in numbers]
    total = sums[0] if sums else None
    for part in sums[1:]:
        if total is not None and part is not None:
            total += part
    return total
