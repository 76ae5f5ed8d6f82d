"""The folder in which a fine-tuning keeps what a power cut must not cost: embeddings, and how far training has come.

    OUT.tuning/  lock  embeddings  checkpoint.npz  result.json

It goes when the fine-tuning ends, and stays when it is interrupted. What training depends on (model, samples, settings)
is hashed into a key: a checkpoint with another key is of no use, its embeddings still are. The result is there where it
takes the model's own place: interrupted after that, the model to begin with is gone, and nothing is left to do.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn import __version__
from edge_cnn.core.atomic_file import sync_folder, temporaries, write_atomically
from edge_cnn.core.errors import DataError, EdgeCnnError, InputError
from edge_cnn.core.npz import pack_npz, unpack_npz
from edge_cnn.device.finetuning.embedding_cache import EmbeddingCache

SUFFIX = ".tuning"
LOCK, EMBEDDINGS, CHECKPOINT, RESULT = "lock", "embeddings", "checkpoint.npz", "result.json"
KEY = "key"
SAVE_SECONDS = 2.0
"""Between two checkpoints, so that a memory card is spared."""

MAX_CHECKPOINT = 2**30

Arrays = dict[str, NDArray[Any]]


class FinetuneWork:
    """A work folder; a context manager. Left by an error that was raised on purpose it is removed, as after success.

    Args:
        folder: made where there is none.
        resume: use what an interrupted fine-tuning has left there, else start anew.
        cache: where embeddings are kept instead, also after the end.

    Raises:
        InputError: it cannot be made, holds other files, or another process works in it.
    """

    def __init__(self, folder: Path, *, resume: bool = False, cache: Path | None = None) -> None:
        self.folder, self._cache_path = folder, cache
        self._stack = contextlib.ExitStack()
        self._key = b""
        self._saved_at = 0.0
        self._outdated = False
        try:
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{folder} is a file, where fine-tuning keeps its work; remove it")
            there = list(folder.iterdir()) if folder.exists() else []
            foreign = sorted(path.name for path in there if path not in self._own())
            if foreign:
                raise InputError(
                    f"{folder} holds {foreign[0]!r}, which no fine-tuning has put there; move it away, or choose "
                    "another --out"
                )
            self._lock()
            if not resume:
                self._clear(keep={self.folder / LOCK})
        except OSError as error:
            self._stack.close()
            with contextlib.suppress(OSError):
                folder.rmdir()  # It may have been made just now, and is empty then.
            raise InputError(
                f"cannot keep the work of fine-tuning in {folder}: {error.strerror}; choose another --out"
            ) from error

    @property
    def is_outdated(self) -> bool:
        """Whether a checkpoint was there, but of another model, other samples or other settings."""
        return self._outdated

    def __enter__(self) -> FinetuneWork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An interrupt or a crash may be resumed; an error that was raised on purpose would only come again.
        if kind is None or issubclass(kind, EdgeCnnError):
            self._clear(keep={self.folder / LOCK, self.folder / RESULT})
            with contextlib.suppress(OSError):
                (self.folder / LOCK).unlink(missing_ok=True)
                # Last: as long as it is there, who resumes knows that all was saved.
                (self.folder / RESULT).unlink(missing_ok=True)
                self.folder.rmdir()
                sync_folder(self.folder.parent)
        self._stack.close()

    def open_store(self, origin: dict[str, Any], features: int, dtype: np.dtype[Any]) -> EmbeddingCache:
        """The embeddings that are there already, for more. Raises: InputError: as `EmbeddingCache`."""
        if self._cache_path is not None:
            return self._stack.enter_context(EmbeddingCache(self._cache_path, origin, features, dtype))
        path = self.folder / EMBEDDINGS
        try:
            return self._stack.enter_context(EmbeddingCache(path, origin, features, dtype))
        except InputError:
            # Our own file, of another model: what was interrupted here was another fine-tuning.
            path.unlink(missing_ok=True)
            return self._stack.enter_context(EmbeddingCache(path, origin, features, dtype))

    def recall(self, key: bytes) -> Arrays | None:
        """What was saved last, if it was saved for this key by this edge_cnn; further saves are for it."""
        # Another one may keep other things, or train in another way.
        key = self._key = key + __version__.encode()
        path = self.folder / CHECKPOINT
        try:
            saved = unpack_npz(path.read_bytes(), name=str(path), max_bytes=MAX_CHECKPOINT)
        except (OSError, DataError):
            return None
        found = saved.pop(KEY, None)
        self._outdated = found is None or found.tobytes() != key
        return None if self._outdated else saved

    def save(self, state: Callable[[], Arrays], *, now: bool = False) -> None:
        """Replace the checkpoint, unless the last one is fresh.

        Args:
            state: called where it is saved.
            now: save in any case.

        Raises:
            InputError: it cannot be written.
        """
        if not now and time.monotonic() - self._saved_at < SAVE_SECONDS:
            return
        arrays = state() | {KEY: np.frombuffer(self._key, np.uint8)}
        write_atomically(self.folder / CHECKPOINT, pack_npz(arrays))
        self._saved_at = time.monotonic()

    def announce(self, sha256: str, told: dict[str, Any]) -> None:
        """Before a result is written over its own model: its hash, and JSON values to tell. Raises: InputError."""
        write_atomically(self.folder / RESULT, json.dumps({"sha256": sha256, "told": told}).encode())

    def announced(self, sha256: str | None) -> dict[str, Any] | None:
        """What was to be told of the result with this hash, if it was the last one announced."""
        try:
            found = json.loads((self.folder / RESULT).read_bytes())
            return found["told"] if found["sha256"] == sha256 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _own(self) -> set[Path]:
        files = {self.folder / name for name in (LOCK, EMBEDDINGS, CHECKPOINT, RESULT)}
        return files | {left for path in files for left in temporaries(path)}

    def _lock(self) -> None:
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                continue  # Another process has ended meanwhile, and taken the folder with it.
            self._stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._stack.close()
                raise InputError(
                    f"another process is fine-tuning in {self.folder}; wait for it to end, or choose another --out"
                ) from None
            if os.fstat(handle).st_nlink:
                return
            self._stack.close()  # A lock on a file that is gone keeps nobody out.

    def _clear(self, keep: set[Path]) -> None:
        with contextlib.suppress(OSError):  # Somebody may have removed the folder.
            for path in self._own() - keep:
                path.unlink(missing_ok=True)
