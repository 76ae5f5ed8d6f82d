"""`import edge_cnn` against `import numpy`, in fresh processes; the interpreter's own start is part of both."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

GOAL = 1.2
PAIRS = 25
SIDES = {"edge_cnn": "import edge_cnn", "bare": "import numpy"}


def run(code: str) -> float:
    """Milliseconds from start to end of a process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3


def measure(pairs: int = PAIRS) -> dict[str, Any]:
    """Median milliseconds of both sides and the median ratio of a pair."""
    for code in SIDES.values():
        run(code)
    times: dict[str, list[float]] = {name: [] for name in SIDES}
    for number in range(pairs):
        for name in sorted(SIDES, reverse=bool(number % 2)):
            times[name].append(run(SIDES[name]))
    ratios = [a / b for a, b in zip(times["edge_cnn"], times["bare"], strict=True)]
    return {
        "benchmark": "import edge_cnn / import numpy",
        "edge_cnn": statistics.median(times["edge_cnn"]),
        "bare": statistics.median(times["bare"]),
        "unit": "ms",
        "ratio": statistics.median(ratios),
        "goal": GOAL,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", help="taken as the other benchmarks take it; not used")
    parser.parse_args()
    sys.stdout.write(json.dumps(measure()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
