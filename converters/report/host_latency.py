"""How long each file takes on this machine: in rounds, so that a busy moment falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.protocols import Runtime
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime

ROUNDS, RUNS_A_ROUND, WARMUP = 7, 15, 5
SECONDS_A_ROUND = 0.3


def host_latencies_us(
    artifacts: Sequence[Artifact], image: NDArray[Any], preprocessing: Preprocessing
) -> list[tuple[float, str]]:
    """Median microseconds of one image, and the kernels that ran, for each artifact; one thread, batch 1.

    A round takes the fastest run of each file, and the median is that of the rounds: other work on the machine only
    ever makes a run slower.

    Args:
        artifacts: what to time.
        image: uint8 or float (1, height, width, channels).
        preprocessing: for pixels.
    """
    opened = [open_runtime(artifact) for artifact in artifacts]
    inputs = [[to_model_input(image, preprocessing, runtime.inputs[0])] for runtime in opened]
    for runtime, value in zip(opened, inputs, strict=True):
        for _ in range(WARMUP):
            runtime.run(value)
    rounds = np.empty((ROUNDS, len(opened)))
    for i in range(ROUNDS):
        for j, (runtime, value) in enumerate(zip(opened, inputs, strict=True)):
            rounds[i, j] = _fastest(runtime, value)
    medians = np.median(rounds, axis=0) * 1e6
    return [(float(m), runtime.kernels().family) for m, runtime in zip(medians, opened, strict=True)]


def _fastest(runtime: Runtime, inputs: list[NDArray[Any]]) -> float:
    best, spent = float("inf"), 0.0
    for _ in range(RUNS_A_ROUND):
        start = time.perf_counter()
        runtime.run(inputs)
        took = time.perf_counter() - start
        best, spent = min(best, took), spent + took
        if spent > SECONDS_A_ROUND:
            break
    return best
