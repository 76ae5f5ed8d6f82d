"""The model of the benchmarks: resnet8 for 32x32 RGB and 10 classes, int8, in a bundle.

Weights are random, the same in each run: the time of an integer graph does not depend on their values.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import input_range

IMAGE_SHAPE = (32, 32, 3)
CLASSES = 10
SEED = 2


def smooth_images(count: int) -> NDArray[np.uint8]:
    """Pixels (count, height, width, channels) that change slowly, as a photograph's: noise calibrates nothing."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 5, 5, IMAGE_SHAPE[2])).astype(np.float32)
    height, width, _ = IMAGE_SHAPE
    rows, columns = np.linspace(0, 4, height), np.linspace(0, 4, width)
    across = _between(coarse, rows, axis=1)
    return _between(across, columns, axis=2).astype(np.uint8)


def _between(values: NDArray[np.float32], places: NDArray[np.float64], *, axis: int) -> NDArray[np.float32]:
    """Linear interpolation at fractional places along an axis."""
    below = np.minimum(places.astype(int), values.shape[axis] - 2)
    shape = [1] * values.ndim
    shape[axis] = len(places)
    share = (places - below).reshape(shape).astype(np.float32)
    return np.take(values, below, axis) * (1 - share) + np.take(values, below + 1, axis) * share


def write_bundle(path: Path, targets: tuple[str, ...] = ("rpi5",)) -> None:
    """Build, convert and write; needs the host's packages and some seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.load import load_source_model
    from edge_cnn.host.architectures import build_model

    samples = LabelledImages(smooth_images(200), np.arange(200) % CLASSES, tuple(f"class {i}" for i in range(CLASSES)))
    with tempfile.TemporaryDirectory() as folder:
        keras.utils.set_random_seed(SEED)
        keras_file = Path(folder) / "resnet8.keras"
        build_model("resnet8", IMAGE_SHAPE, CLASSES).save(keras_file)
        source = load_source_model(keras_file)
    config = ExportConfig(targets=targets, schemes=("int8",), golden_samples=16)
    preprocessing = input_range(0.0, 1.0, IMAGE_SHAPE)
    export_bundle(source, ExportData(samples, samples), config, preprocessing=preprocessing).write(path)
