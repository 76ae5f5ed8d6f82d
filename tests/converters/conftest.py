"""A small residual network with random weights, for what needs no trained one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CLASSES = ("ant", "bee", "cat", "dog")
SHAPE = (12, 10, 3)


@pytest.fixture(scope="session")
def tiny_keras() -> Any:
    """Conv, BatchNorm, ReLU, a residual Add, pooling, Flatten, Dense; not square, so that a swapped axis shows."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    entry = keras.Input(SHAPE)
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(entry)))
    branch = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(hidden))
    hidden = layers.ReLU()(layers.Add()([hidden, branch]))
    hidden = layers.Flatten()(layers.MaxPooling2D(2)(hidden))
    model = keras.Model(entry, layers.Dense(len(CLASSES), activation="softmax")(hidden))
    rng = np.random.default_rng(0)
    # Fresh BatchNorm and biases are neutral, so folding them wrongly would not show.
    weights = model.get_weights()
    model.set_weights([w + (w.ndim == 1) * rng.uniform(0.02, 0.2, w.shape).astype(np.float32) for w in weights])
    return model


@pytest.fixture(scope="session")
def tiny_folder(tiny_keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.keras, tiny.h5 and tiny_saved/ with training.json beside them."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_keras.save(folder / "tiny.keras")
    tiny_keras.save(folder / "tiny.h5")
    tiny_keras.export(folder / "tiny_saved", verbose=False)
    preprocessing = {"height": 12, "width": 10, "channels": 3, "mean": [127.5], "std": [127.5]}
    text = json.dumps({"labels": CLASSES, "preprocessing": preprocessing, "architecture": "tiny", "seed": 7})
    (folder / "training.json").write_text(text)
    return folder


@pytest.fixture(scope="session")
def tiny_pixels() -> np.ndarray:
    """uint8 (64, 12, 10, 3)."""
    return np.random.default_rng(1).integers(0, 256, (64, *SHAPE), dtype=np.uint8)
