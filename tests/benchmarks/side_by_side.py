"""What the benchmarks share: two sides that take turns in one run, and the ratio of their medians round by round."""

from __future__ import annotations

import argparse
import compileall
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import edge_cnn

EDGE_CNN, BARE = "edge_cnn", "bare"


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Times of each side, one a round.

    Clock frequency and neighbours change with time, so both sides run in every round; whoever runs second finds warmer
    caches, so the order alternates.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=bool(number % 2)):
            times[name].append(sides[name]())
    return times


def result(benchmark: str, times: dict[str, list[float]], *, unit: str, goal: float) -> dict[str, Any]:
    """One row of the table: the medians of both sides and the median ratio of a round."""
    ratios = [ours / bare for ours, bare in zip(times[EDGE_CNN], times[BARE], strict=True)]
    return {
        "benchmark": benchmark,
        EDGE_CNN: statistics.median(times[EDGE_CNN]),
        BARE: statistics.median(times[BARE]),
        "unit": unit,
        "ratio": statistics.median(ratios),
        "goal": goal,
    }


def compile_as_installed() -> None:
    """Write the bytecode of edge_cnn, as pip does when it installs a package.

    A checkout has none where PYTHONDONTWRITEBYTECODE is set, and every process would then compile our sources anew
    while it loads numpy's and the runtime's bytecode.
    """
    compileall.compile_dir(str(Path(edge_cnn.__file__).parent), quiet=2)


def run_as_script(measure: Callable[[Path], dict[str, Any]], description: str | None) -> int:
    """Parse --bundle, make the model where it is not given, measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bundle", type=Path, help="a bundle with an int8 .tflite; made where it is not given")
    bundle = parser.parse_args().bundle
    with tempfile.TemporaryDirectory() as folder:
        if bundle is None:
            from resnet8_bundle import write_bundle

            bundle = Path(folder) / "resnet8.edgecnn"
            write_bundle(bundle)
        sys.stdout.write(json.dumps(measure(bundle)) + "\n")
    return 0
