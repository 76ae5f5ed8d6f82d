"""The parts of a cold start that lie before a graph is loaded: the start of a Python, the import of a runtime."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from edge_cnn.core.errors import DeviceFailedError
from edge_cnn.device.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STARTED_CHILD = "import time; print(time.monotonic_ns())"

_MODULES = {
    "ai_edge_litert": ("ai_edge_litert.interpreter",),
    "tflite_runtime": ("tflite_runtime.interpreter",),
    "tflite_micro": ("tflite_micro.python.tflite_micro.runtime",),
    "tosa_reference_model": ("tosa_reference_model", "tosa_converter_for_tflite"),
}
"""Package of a runtime -> what opening a graph imports of it, where that is more than the package."""


def import_runtime(name: str | None) -> None:
    """Import what the runtime `name` consists of, so that its time is not counted as loading a model.

    Nothing happens where it is unknown, not installed or broken: opening it says that better.
    """
    row = RUNTIMES.get(name or "")
    if row is None or not row.is_installed():
        return
    with contextlib.suppress(ImportError):
        for module in _MODULES.get(row.package, (row.package,)):
            importlib.import_module(module)


def time_starts(repeats: int) -> NDArray[np.float64]:
    """Milliseconds from the call that starts a Python to its first line of code, float64 (repeats,).

    Measured here and not by the host, to whom it would include the way to the device.

    Raises:
        DeviceFailedError: no second process can be started.
    """
    # Imported late: it would be a part of the very start that is measured.
    import subprocess

    times = np.empty(repeats, np.float64)
    for i in range(repeats):
        # Of this system, not of a process, so that two processes may compare it.
        start = time.monotonic_ns()
        try:
            child = subprocess.run(
                [sys.executable, "-P", "-c", _STARTED_CHILD], capture_output=True, timeout=60, check=True
            )
            times[i] = (int(child.stdout) - start) / 1e6
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise DeviceFailedError(
                f"the device cannot start a second Python to time its start: {error}; look at its memory and processes"
            ) from error
    return times
