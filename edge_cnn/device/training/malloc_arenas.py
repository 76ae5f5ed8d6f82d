"""One pool of memory for all threads of a process that has little.

glibc gives each thread a pool (arena) of its own, and what one has freed the others cannot use: with two threads
training took 40 MB where 20 MB were in use.
"""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8
"""mallopt(3), malloc.h of glibc."""


def share_one_arena() -> None:
    """From now on all threads allocate from one arena; where the C library is another one, nothing changes.

    For a process that does one thing: it cannot be taken back.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_ARENA_MAX, 1)
