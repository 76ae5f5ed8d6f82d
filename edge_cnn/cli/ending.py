"""Work without an end of its own: Ctrl-C and SIGTERM ask it to come to one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def asked_to_end() -> Generator[Callable[[], bool]]:
    """Yield a function that tells whether one of the signals came; a second one acts as ever, at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # Signals are for the main thread only.
        return
    asked = False
    before = {number: signal.getsignal(number) for number in SIGNALS}
    # A shell has its background jobs ignore Ctrl-C, which is meant for another.
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        nonlocal asked
        asked = True
        give_back()

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        give_back()
