import numpy as np
import pytest

from edge_cnn.core.labelled_images import LabelledImages


@pytest.fixture(scope="session")
def bars():
    """Makes samples that a small network learns in seconds: an upright, a lying or a slanting bar in noise."""

    def make(count, seed=0, counts=None):
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 3 if counts is None else np.repeat(np.arange(len(counts)), counts)
        images = rng.integers(0, 90, (len(labels), 12, 12, 1))
        for image, label, place in zip(images, labels, rng.integers(3, 9, len(labels)), strict=True):
            if label == 0:
                image[:, place] += 150
            elif label == 1:
                image[place] += 150
            else:
                image[np.arange(12), np.arange(12)] += 150
        return LabelledImages(images.astype(np.uint8), labels.astype(np.int64), ("upright", "lying", "slanting"))

    return make
