"""What a reader of one kind of file gives: a function and its shapes, before anything is checked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing

_MAX_ELEMENTS = 2**26
"""An image of 4000x4000 pixels in colour has 48 million; a damaged file may claim any number."""


class LoadedGraph(NamedTuple):
    """A forward pass.

    Attributes:
        function: a tf.function of one argument "input", float32.
        input_shape: with None for the batch, or its size where it is built in.
        output_shape: likewise.
        labels: class names, where the file itself has them.
        preprocessing: from pixels to inputs, where the file itself says it.
        float_tflite: the file itself, where it is a `.tflite`.
    """

    function: Any
    input_shape: tuple[Any, ...]
    output_shape: tuple[Any, ...]
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    float_tflite: bytes | None = None


def try_batch(path: Path, function: Any, input_shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Run one sample more than the batch says: a graph may have its size built in, and then fails on others.

    Returns:
        The shape of one output.

    Raises:
        ModelError: it fails.
    """
    count = (input_shape[0] or 1) + 1
    try:
        shape = np.asarray(function(np.zeros((count, *input_shape[1:]), np.float32))).shape
    # TensorFlow raises InvalidArgumentError or another OpError when it runs, ValueError or TypeError when it traces.
    except Exception as error:
        if input_shape[0] is not None:
            raise ModelError(
                f"{path} takes batches of {input_shape[0]} only, export needs any number of samples; "
                "save it again with None for the batch"
            ) from error
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{path} fails on a batch of {count} samples: {reason[:300]}; save it again") from error
    if len(shape) < 2 or shape[0] != count:
        raise ModelError(
            f"{path} gives an output of shape {shape} for {count} samples, which does not follow them; save it again"
        )
    return tuple(int(size) for size in shape[1:])


def known_shape(path: Path, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of one sample, of an input shape with its batch.

    Raises:
        ModelError: a size is dynamic, or the product is beyond what a model takes.
    """
    sizes = shape[1:]
    if not sizes or not all(sizes):
        raise ModelError(
            f"{path} takes inputs of shape {shape}, export needs known sizes behind the batch; "
            "save it again with a fixed height and width"
        )
    if math.prod(sizes) > _MAX_ELEMENTS:
        raise ModelError(
            f"{path} takes inputs of shape {shape}, more than {_MAX_ELEMENTS} values a sample; save it again"
        )
    return tuple(int(size) for size in sizes)
