"""One file that an export tried: what it weighs, what it gets right, how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """A file and its figures.

    Attributes:
        name: "model-float32.tflite", or what was tried on the way to it.
        format: "tflite" or "onnx".
        scheme: quantization scheme.
        size: of the file, in bytes.
        accuracy: share of the samples that it gets right.
        latency_us: median time of one image on this machine, one thread, in microseconds; None if not measured.
        kernels: who computed it here.
        kept: whether it is in the bundle, or was the way taken.
    """

    name: str
    format: str
    scheme: str
    size: int
    accuracy: float
    latency_us: float | None = None
    kernels: str = ""
    kept: bool = True


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Indices of the points that no other beats, by rising cost: less cost for as much gain, or more gain for as much.

    Args:
        costs: of each point, the less the better.
        gains: of each point, the more the better.
    """
    front: list[int] = []
    best = float("-inf")
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i])):
        if gains[i] > best:
            front.append(i)
            best = gains[i]
    return front
