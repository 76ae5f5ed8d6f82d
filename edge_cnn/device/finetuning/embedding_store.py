"""Embeddings as the backbone gives them, found again by the image that they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


def digest_of(array: NDArray[Any]) -> bytes:
    """BLAKE2b (RFC 7693) of dtype, shape and content: 16 bytes that two different arrays do not share."""
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=DIGEST_BYTES)
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


class CodeTable(Protocol):
    """Codes, or floats where the backbone has no codes, (n, features): an array, or what reads them from a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, choice: Any, /) -> Any:
        """The rows at a slice or at int64 indices, as an array."""
        ...


@dataclass(frozen=True)
class CodeView:
    """Rows of a table in an order of their own.

    Attributes:
        table: the codes.
        members: int64 (n,), rows of the table.
    """

    table: CodeTable
    members: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.members), *self.table.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.table.dtype

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, choice: Any, /) -> NDArray[Any]:
        return self.table[self.members[choice]]


class EmbeddingStore(Protocol):
    """Holds embeddings by the digest of their image."""

    def find(self, digest: bytes) -> int | None:
        """The row of the table, None where the image has not been embedded."""
        ...

    def append(self, digests: Sequence[bytes], codes: NDArray[Any]) -> None:
        """Add rows (k, features). Raises: InputError: they cannot be written."""
        ...

    @property
    def table(self) -> CodeTable:
        """All rows so far."""
        ...


class MemoryStore:
    """A store that ends with the process.

    Args:
        features: of an embedding.
        dtype: of its codes.
    """

    def __init__(self, features: int, dtype: np.dtype[Any]) -> None:
        self._parts: list[NDArray[Any]] = [np.empty((0, features), dtype)]
        self._rows: dict[bytes, int] = {}
        self._count = 0

    def find(self, digest: bytes) -> int | None:
        return self._rows.get(digest)

    def append(self, digests: Sequence[bytes], codes: NDArray[Any]) -> None:
        for digest in digests:
            self._rows[digest] = self._count
            self._count += 1
        self._parts.append(codes)

    @property
    def table(self) -> NDArray[Any]:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]
