"""The model of the benchmarks: resnet8 for 32x32 RGB and 10 classes, int8, in a bundle.

Weights are random: the time of an integer graph does not depend on their values.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import input_range

IMAGE_SHAPE = (32, 32, 3)
CLASSES = 10


def write_bundle(path: Path, targets: tuple[str, ...] = ("rpi5",)) -> None:
    """Build, convert and write; needs the host's packages and some seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.load import load_source_model
    from edge_cnn.host.architectures import build_model

    rng = np.random.default_rng(0)
    # Blocks of 4x4 pixels: noise is no calibration data, and refused.
    images = rng.integers(0, 256, (200, 8, 8, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    samples = LabelledImages(images, np.arange(200) % CLASSES, tuple(f"class {i}" for i in range(CLASSES)))
    with tempfile.TemporaryDirectory() as folder:
        keras_file = Path(folder) / "resnet8.keras"
        build_model("resnet8", IMAGE_SHAPE, CLASSES).save(keras_file)
        source = load_source_model(keras_file)
    config = ExportConfig(targets=targets, schemes=("int8",), golden_samples=16)
    preprocessing = input_range(0.0, 1.0, IMAGE_SHAPE)
    export_bundle(source, ExportData(samples, samples), config, preprocessing=preprocessing).write(path)
