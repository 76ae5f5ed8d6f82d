"""What the end of a process means, in words: a crash of native code leaves a number only."""

from __future__ import annotations

import signal

MEANINGS = {
    # Nobody else sends it unasked: where memory runs out, Linux picks a process and ends it so.
    "SIGKILL": "killed, most likely out of memory",
    "SIGILL": "the CPU lacks an instruction the runtime was built for",
    "SIGSEGV": "the runtime's native code used memory that is not its own",
    "SIGBUS": "an access was not aligned, or a file was cut while it was mapped into memory",
    "SIGABRT": "the runtime's native code gave up",
    "SIGFPE": "the runtime's native code divided an integer by zero",
}
"""Signal -> why a process that runs a model ends with it."""


def describe_end(status: int) -> str:
    """How a process ended, to stand after "with".

    Args:
        status: exit status, or minus the number of the signal that ended it, as `subprocess` tells, or 128 plus that
            number, as shells do, also the one on the way to a board.

    Returns:
        for example "exit status 7", "SIGKILL: killed, most likely out of memory" or "signal 35".
    """
    if status > 128 and status - 128 in set(signal.Signals):
        status = 128 - status
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # Most real-time signals have numbers only.
        return f"signal {-status}"
    return f"{name}: {MEANINGS[name]}" if name in MEANINGS else name
