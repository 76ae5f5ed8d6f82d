"""Embeddings in a file that survives a restart: what was computed before a power cut is not computed again.

The file is a line that names the format, a line of JSON that says what gave the embeddings, padding, and one record an
image: digest, CRC-32, codes. Records are only ever appended. After a power cut the file is cut off at the first record
whose CRC is wrong. Rows are read with `pread`, not mapped: mapped pages would count as memory of this process.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.errors import InputError
from edge_cnn.device.finetuning.embedding_store import DIGEST_BYTES

MAGIC = b"edge_cnn embeddings 1\n"
ALIGNMENT = 64
MAX_HEADER = 2**16
SCAN_BYTES = 2**20
SYNC_SECONDS = 2.0
"""Between two calls of fsync: a power cut costs the work of so many seconds, and a memory card is spared."""

DENSE = 4
"""Rows that stand in up to so many times their own number are read together."""


class EmbeddingCache:
    """An `EmbeddingStore` in a file; a context manager, since it holds the file locked.

    Args:
        path: of the file, made where there is none.
        origin: what gives the embeddings, for JSON: another origin means other embeddings.
        features: of an embedding.
        dtype: of its codes.

    Raises:
        InputError: the file is of something else or of another origin, is in use, or cannot be written.
    """

    def __init__(self, path: Path, origin: dict[str, Any], features: int, dtype: np.dtype[Any]) -> None:
        self.path = path
        stored = dtype.newbyteorder("<")
        self._record = np.dtype(
            [("digest", f"V{DIGEST_BYTES}"), ("crc", "<u4"), ("codes", stored, (features,))], align=False
        )
        header = _header(origin | {"features": features, "dtype": stored.str})
        try:
            if not path.exists():
                write_atomically(path, header)
            self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise InputError(f"cannot open the embeddings in {path}: {error.strerror}; name another file") from error
        try:
            self._lock()
            self._check(header)
            self._start = len(header)
            self._rows: dict[bytes, int] = {}
            self._count = self._scan()
            os.ftruncate(self._handle, self._start + self._count * self._record.itemsize)
        except OSError as error:
            os.close(self._handle)
            raise InputError(f"cannot use the embeddings in {path}: {error.strerror}; name another file") from error
        except InputError:
            os.close(self._handle)
            raise
        self._synced = time.monotonic()

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)

    def find(self, digest: bytes) -> int | None:
        return self._rows.get(digest)

    def append(self, digests: Sequence[bytes], codes: NDArray[Any]) -> None:
        records = np.empty(len(codes), self._record)
        records["codes"] = codes
        records["digest"] = np.array([np.void(digest) for digest in digests], f"V{DIGEST_BYTES}")
        records["crc"] = [_crc(record) for record in records]
        data, done = records.tobytes(), 0
        try:
            while done < len(data):
                place = self._start + self._count * self._record.itemsize + done
                done += os.pwrite(self._handle, data[done:], place)
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                os.fsync(self._handle)
                self._synced = time.monotonic()
        except OSError as error:
            raise InputError(
                f"cannot write the embeddings to {self.path}: {error.strerror}; make room there"
            ) from error
        for digest in digests:
            self._rows[digest] = self._count
            self._count += 1

    @property
    def table(self) -> EmbeddingCache:
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._count, *self._record["codes"].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._record["codes"].base

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, choice: Any, /) -> NDArray[Any]:
        if isinstance(choice, slice):
            start, stop, step = choice.indices(self._count)
            return self._read(start, max(stop, start))[:: max(step, 1)]
        rows = np.asarray(choice, np.int64)
        if len(rows) == 0:
            return np.empty((0, *self.shape[1:]), self._record["codes"].base)
        low, high = int(rows.min()), int(rows.max()) + 1
        if high - low <= DENSE * len(rows):
            return self._read(low, high)[rows - low]
        return np.concatenate([self._read(row, row + 1) for row in map(int, rows)])

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        return self._records(start, stop)["codes"]

    def _records(self, start: int, stop: int) -> NDArray[Any]:
        size = self._record.itemsize
        data = os.pread(self._handle, (stop - start) * size, self._start + start * size)
        if len(data) != (stop - start) * size:
            raise InputError(f"{self.path} was cut short while it was in use; start again")
        return np.frombuffer(data, self._record)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process uses the embeddings in {self.path}; wait for it to end, or name another file"
            ) from None

    def _check(self, header: bytes) -> None:
        found = os.pread(self._handle, MAX_HEADER, 0)
        if not found.startswith(MAGIC):
            raise InputError(f"{self.path} holds no embeddings; name another file")
        if not found.startswith(header):
            raise InputError(
                f"the embeddings in {self.path} come from another model file, runtime or input range; name another "
                "file, or remove it"
            )

    def _scan(self) -> int:
        """Number of whole records, their digests noted."""
        size = self._record.itemsize
        there = max(os.fstat(self._handle).st_size - self._start, 0) // size
        at_once = max(SCAN_BYTES // size, 1)
        for start in range(0, there, at_once):
            for number, record in enumerate(self._records(start, min(start + at_once, there)), start):
                if int(record["crc"]) != _crc(record):
                    return number
                self._rows[record["digest"].tobytes()] = number
        return there


def _crc(record: np.void) -> int:
    return zlib.crc32(record["codes"].tobytes(), zlib.crc32(record["digest"].tobytes()))


def _header(origin: dict[str, Any]) -> bytes:
    text = MAGIC + json.dumps(origin, sort_keys=True).encode() + b"\n"
    return text.ljust(-(-len(text) // ALIGNMENT) * ALIGNMENT, b"\n")
