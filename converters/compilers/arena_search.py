"""The smallest arena with which a `.tflite` file initialises and runs; a script for TFLite Micro's own environment.

    python arena_search.py MODEL INPUTS

prints the bytes as one JSON document, and on stderr what TFLite Micro tells of the arena. What its recording allocator
sums up is not enough: while it plans the arena it needs more, so that small networks do not start with that sum.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 16
FIRST, LARGEST = 2**12, 2**28


def smallest_arena(model: bytes, inputs: int) -> int:
    """Bytes, a multiple of `ALIGNMENT`. Raises: RuntimeError: not even the largest suffices."""
    enough = FIRST
    while not _runs(model, inputs, enough):
        enough *= 2
        if enough > LARGEST:
            _open(model, inputs, LARGEST)  # Raises what the runtime says.
            return LARGEST
    too_little = 0
    while enough - too_little > ALIGNMENT:
        middle = (enough + too_little) // 2 // ALIGNMENT * ALIGNMENT
        if _runs(model, inputs, middle):
            enough = middle
        else:
            too_little = middle
    return enough


def _runs(model: bytes, inputs: int, arena: int) -> bool:
    try:
        _open(model, inputs, arena)
    except (RuntimeError, ValueError):
        return False
    return True


def _open(model: bytes, inputs: int, arena: int) -> Any:
    # By name: no other environment has it.
    runtime: Any = importlib.import_module("tflite_micro.python.tflite_micro.runtime")
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena)
    for index in range(inputs):
        details = interpreter.get_input_details(index)
        interpreter.set_input(np.zeros(details["shape"], details["dtype"]), index)
    interpreter.invoke()
    return interpreter


def main() -> None:
    """What the command line does."""
    path, inputs = sys.argv[1:]
    model = Path(path).read_bytes()
    try:
        arena = smallest_arena(model, int(inputs))
    except (RuntimeError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    _open(model, int(inputs), arena).print_allocations()
    sys.stdout.write(json.dumps({"arena_bytes": arena}) + "\n")


if __name__ == "__main__":
    main()
