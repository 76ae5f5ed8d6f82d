"""Rules of devices whose memory a file must fit."""

from __future__ import annotations

import math

from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import NO_TENSOR, Subgraph, read_tflite
from edge_cnn.device.tflite.tensor import Tensor

_BITS = {"int4": 4, "int2": 2, "uint4": 4, "bool": 8}
_SAME_BYTES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
"""Operators whose output may lie where their input lies."""


def file_fits_flash(artifact: Artifact, flash: int) -> list[str]:
    """The file fits the flash memory."""
    size = len(artifact.data)
    return [f"{size:,} bytes for {flash:,}"] if size > flash else []


def activations_fit_ram(artifact: Artifact, ram: int) -> list[str]:
    """The activations that live at the same time fit the RAM."""
    needed = least_activation_bytes(artifact)
    return [f"{needed:,} bytes for {ram:,}"] if needed > ram else []


def least_activation_bytes(artifact: Artifact) -> int:
    """The most bytes of activations that live at one time, which no interpreter can do with less.

    What an interpreter really takes is more: its own structures, alignment, scratch memory of kernels, gaps.

    Raises:
        ModelError: damaged.
    """
    model = read_tflite(artifact)
    graph = model.main
    held = {tensor.index for tensor in graph.tensors if model.constant(tensor) is not None}
    place = _places(graph)
    births: dict[int, int] = {}
    deaths: dict[int, int] = {}
    sizes: dict[int, int] = {}

    def live(index: int, step: int) -> None:
        if index == NO_TENSOR or index in held:
            return
        root = place.get(index, index)
        births.setdefault(root, step)
        deaths[root] = step
        sizes[root] = max(sizes.get(root, 0), _bytes(graph.tensors[index]))

    for index in graph.inputs:
        live(index, 0)
    for step, operator in enumerate(graph.operators):
        for index in (*operator.inputs, *operator.outputs):
            live(index, step)
    for index in graph.outputs:
        live(index, len(graph.operators))
    steps = range(len(graph.operators) + 1)
    return max(sum(sizes[t] for t in sizes if births[t] <= step <= deaths[t]) for step in steps)


def _places(graph: Subgraph) -> dict[int, int]:
    """Tensor -> the tensor whose bytes it may share."""
    place: dict[int, int] = {}
    for operator in graph.operators:
        if operator.name in _SAME_BYTES and operator.inputs and operator.outputs:
            place[operator.outputs[0]] = place.get(operator.inputs[0], operator.inputs[0])
    return place


def _bytes(tensor: Tensor) -> int:
    bits = _BITS.get(tensor.dtype)
    if bits is None:
        digits = "".join(c for c in tensor.dtype if c.isdigit())
        bits = int(digits) if digits else 8
    return math.ceil(math.prod(tensor.shape) * bits / 8)
