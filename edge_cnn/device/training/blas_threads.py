"""numpy's products on one thread while a head is trained.

The products of a last layer are thin (a few classes, a few hundred features). OpenBLAS splits them over all cores all
the same, and its threads wait for each other by spinning: where another process wants one of the cores, a product of
30 ms has been measured at 1.7 s. Training splits its work itself, in blocks, over threads that wait without spinning.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Generator
from pathlib import Path

SYMBOLS = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
)
"""Names of the same two functions: numpy's wheels from 2 on, from 1.26 on, before, and the distributions' packages."""

Control = tuple[Callable[[], int], Callable[[int], None]]


@contextlib.contextmanager
def one_blas_thread() -> Generator[None]:
    """Limit every OpenBLAS of this process to one thread, and give back what it had.

    Where numpy uses another BLAS (Apple's Accelerate chooses its threads well by itself), nothing is changed.
    """
    controls = _controls()
    before = [get() for get, _ in controls]
    try:
        for _, put in controls:
            put(1)
        yield
    finally:
        for (_, put), count in zip(controls, before, strict=True):
            put(count)


@functools.cache
def _controls() -> tuple[Control, ...]:
    found: list[Control] = []
    for path in _loaded_libraries():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue  # replaced on disk since it was loaded
        for get, put in SYMBOLS:
            if hasattr(library, get) and hasattr(library, put):
                found.append((getattr(library, get), getattr(library, put)))
                break
    return tuple(found)


def _loaded_libraries() -> list[str]:
    """Paths of the OpenBLAS libraries that this process has loaded: as Linux tells, else those of numpy's wheel."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        paths = {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if "openblas" in line}
        return sorted(paths)
    import numpy as np

    beside = Path(np.__file__).parent
    folders = (beside.with_name("numpy.libs"), beside / ".dylibs")
    return sorted(str(path) for folder in folders if folder.is_dir() for path in folder.glob("*openblas*"))
