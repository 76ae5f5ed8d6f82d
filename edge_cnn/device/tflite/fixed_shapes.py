"""A `.tflite` file without dynamic dimensions, for compilers and runtimes that take none."""

from __future__ import annotations

from dataclasses import replace

from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import IDENTIFIER
from edge_cnn.device.tflite.flatbuffer import read_root

_SHAPE, _SHAPE_SIGNATURE = 0, 7
"""Fields of the Tensor table in the public schema."""


def with_fixed_shapes(artifact: Artifact) -> Artifact:
    """The file with -1 in `shape_signature`, a dynamic dimension, overwritten by what `shape` has there, mostly 1.

    The shapes stand in the file beside each other, so nothing moves.

    Raises:
        ModelError: damaged.
    """
    data = bytearray(artifact.data)
    for graph in read_root(artifact.data, IDENTIFIER).tables(2):
        for tensor in graph.tables(0):
            shape, signature = (tensor.vector(field, "<i4") for field in (_SHAPE, _SHAPE_SIGNATURE))
            if shape is not None and signature is not None and len(shape) == len(signature):
                start, end = signature.span
                data[start:end] = shape.array().tobytes()
    return replace(artifact, data=bytes(data))
