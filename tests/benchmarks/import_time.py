"""`import edge_cnn` against `import numpy`, in fresh processes; the interpreter's own start is part of both."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from side_by_side import BARE, EDGE_CNN, alternate, compile_as_installed, result, run_as_script

GOAL = 1.2
PAIRS = 25
SIDES = {EDGE_CNN: "import edge_cnn", BARE: "import numpy"}


def run(code: str) -> float:
    """Milliseconds from start to end of a process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3


def measure(bundle_path: Path, pairs: int = PAIRS) -> dict[str, Any]:
    """Median milliseconds of both sides and the median ratio of a pair; no model is needed."""
    del bundle_path
    compile_as_installed()
    for code in SIDES.values():
        run(code)
    times = alternate({name: lambda c=code: run(c) for name, code in SIDES.items()}, pairs)
    return result("import edge_cnn / import numpy", times, unit="ms", goal=GOAL)


if __name__ == "__main__":
    sys.exit(run_as_script(measure, __doc__))
