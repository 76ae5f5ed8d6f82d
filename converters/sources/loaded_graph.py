"""What a reader of one kind of file gives: a function and its shapes, before anything is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing


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


def try_batch(path: Path, function: Any, input_shape: tuple[Any, ...], image_shape: tuple[int, int, int]) -> None:
    """Run one image more than the batch says: a graph may have its size built in, and then fails on others.

    Raises:
        ModelError: it fails.
    """
    count = (input_shape[0] or 1) + 1
    try:
        np.asarray(function(np.zeros((count, *image_shape), np.float32)))
    # TensorFlow raises InvalidArgumentError or another OpError when it runs, ValueError or TypeError when it traces.
    except Exception as error:
        if input_shape[0] is not None:
            raise ModelError(
                f"{path} takes batches of {input_shape[0]} only, export needs any number of images; "
                "save it again with None for the batch"
            ) from error
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{path} fails on a batch of {count} images: {reason[:300]}; save it again") from error


def image_shape(path: Path, shape: tuple[Any, ...]) -> tuple[int, int, int]:
    """(height, width, channels) of an input shape with its batch.

    Raises:
        ModelError: it is not that of images of known size.
    """
    sizes = shape[1:]
    if len(sizes) != 3 or not all(sizes) or sizes[2] not in (1, 3):
        raise ModelError(
            f"{path} takes inputs of shape {shape}, export needs (n, height, width, 1 or 3) of known size; "
            "give an image classifier"
        )
    return int(sizes[0]), int(sizes[1]), int(sizes[2])
