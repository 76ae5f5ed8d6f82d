"""`optdigits`: digits by other writers, scanned at 8x8 with 17 gray levels: a real domain shift for `digits`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages, stratified_sample
from edge_cnn.host.datasets.dataset import DatasetEntry
from edge_cnn.host.datasets.packaged_table import PackagedTable
from edge_cnn.host.datasets.recipe import Recipe

TRAIN_SAMPLES = 300
SPLIT_SEED = 2026
GLYPH, FRAME = 20, 28
"""MNIST fits each digit into 20x20 pixels and puts it into 28x28; these are brought to the same size."""

MAX_LEVEL = 16
CLASS_NAMES = tuple("0123456789")

TABLE = PackagedTable(
    "sklearn",
    "datasets/data/digits.csv.gz",
    (1797, 65),
    "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2",
)


def load() -> tuple[LabelledImages, LabelledImages]:
    """300 samples for fine-tuning and 1,497 for tests: uint8 (n, 28, 28, 1). Raises: as `PackagedTable.read`."""
    table = TABLE.read()
    images = np.stack([_enlarge(levels) for levels in table[:, :-1].reshape(-1, 8, 8)])
    everything = LabelledImages(images, table[:, -1].astype(np.int64), CLASS_NAMES)
    order = stratified_sample(everything.labels, len(everything), np.random.default_rng(SPLIT_SEED))
    return everything.select(order[:TRAIN_SAMPLES]), everything.select(order[TRAIN_SAMPLES:])


def _enlarge(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (8, 8) with levels 0..16 -> uint8 (28, 28, 1) with pixels 0..255."""
    from PIL import Image

    pixels = np.rint(levels * (255.0 / MAX_LEVEL)).astype(np.uint8)
    glyph = Image.fromarray(pixels).resize((GLYPH, GLYPH), Image.Resampling.BILINEAR)
    return np.pad(np.asarray(glyph, np.uint8), (FRAME - GLYPH) // 2)[:, :, None]


OPTDIGITS = DatasetEntry(
    name="optdigits",
    summary="digits by other writers, 8x8 scans enlarged to the frame of MNIST",
    source="Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak (1998), UCI Machine Learning "
    "Repository; its test part from the package scikit-learn",
    licence="CC BY 4.0; scikit-learn is BSD-3-Clause",
    image_shape=(FRAME, FRAME, 1),
    classes=10,
    train_samples=TRAIN_SAMPLES,
    test_samples=1497,
    is_present=lambda: TABLE.locate() is not None,
    load=load,
    recipe=Recipe("lenet", 30, 64, "adam", None, "cross-entropy", "handwriting"),
)
