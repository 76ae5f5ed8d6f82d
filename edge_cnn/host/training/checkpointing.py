"""When a training's state is written: now and then, and when Ctrl-C asks for the end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from edge_cnn.core.errors import CheckFailedError, InputError
from edge_cnn.host.training.checkpoint import Checkpoint, Origin, write_checkpoint
from edge_cnn.host.training.records import TrainingState

SHARE = 0.01
"""Of the time, at most, that goes into writing: a slow disk is written to less often."""


class Checkpointing:
    """Writes a training's checkpoints; a context manager around `train`, whose `on_pause` it takes.

    While it is entered, Ctrl-C is heard between two steps: the state is written there, and the training ends. A second
    one ends it at once, and then the checkpoint before it stands; so does one before the first step, when nothing is
    lost.
    """

    def __init__(
        self, path: Path, origin: Origin, every: float, on_remark: Callable[[str], None] = lambda _: None
    ) -> None:
        """Prepare.

        Args:
            path: of the file; its folder is made with the first one.
            origin: what the training is of.
            every: seconds between two, at least.
            on_remark: told, once, that a checkpoint cannot be written.
        """
        self._path, self._origin, self._every, self._on_remark = path, origin, every, on_remark
        self._next = time.monotonic() + every
        self._asked_to_end = self._has_paused = self._has_failed = self._made = False
        self._former: Any = None

    def __enter__(self) -> Checkpointing:
        # Signals are the main thread's; elsewhere, and where Ctrl-C is ignored, nobody presses it here.
        if threading.current_thread() is threading.main_thread():
            former = signal.getsignal(signal.SIGINT)
            if former is signal.default_int_handler:
                self._former = former
                signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._former is not None:
            signal.signal(signal.SIGINT, self._former)
        # A training that diverged would only do so again.
        if kind is not None and issubclass(kind, CheckFailedError):
            self.remove()

    def on_pause(self, state: Callable[[], TrainingState]) -> None:
        """Between two steps.

        Raises:
            KeyboardInterrupt: Ctrl-C has asked for the end.
        """
        self._has_paused = True
        if self._asked_to_end or time.monotonic() >= self._next:
            self._write(state)
        if self._asked_to_end:
            raise KeyboardInterrupt

    def remove(self) -> None:
        """The training is whole, or cannot be: nothing is left to go on with."""
        self._path.unlink(missing_ok=True)
        if self._made:
            with contextlib.suppress(OSError):  # There is more in it.
                self._path.parent.rmdir()

    def ask_to_end(self) -> None:
        """As Ctrl-C: at the next pause the state is written, and the training ends."""
        self._asked_to_end = True

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked_to_end or not self._has_paused:
            raise KeyboardInterrupt
        self._asked_to_end = True

    def _write(self, state: Callable[[], TrainingState]) -> None:
        begun = time.monotonic()
        try:
            if not self._path.parent.is_dir():
                self._path.parent.mkdir(parents=True)
                self._made = True
            write_checkpoint(self._path, Checkpoint(state(), self._origin))
            self._has_failed = False
        except (InputError, OSError) as error:
            # Hours of training are worth more than the checkpoint; the one before is still there.
            if not self._has_failed:
                said = str(error).partition(";")[0]
                self._on_remark(f"no checkpoint: {said}; training goes on, and the one before stays, if there is one")
            self._has_failed = True
        spent = time.monotonic() - begun
        self._next = begun + spent + max(self._every, spent / SHARE)
