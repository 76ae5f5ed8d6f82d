"""How the networks that tests share are trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_cnn.core.labelled_images import LabelledImages

EPOCHS = 3
FEWER = 8
"""Classes of a network that is to learn the others later."""


def train_lenet(folder: Path) -> None:
    """Write a lenet trained on digits as `train` writes it: model.keras with training.json beside it."""
    # Augmentation is what takes long, and what a few epochs gain nothing from.
    _train_lenet(folder, _digits()[0], EPOCHS, augmented=False)


def train_lenet_on_eight_digits(folder: Path) -> None:
    """As `train_lenet`, on the digits below 8 alone; longer, for the features to tell the other two apart."""
    _train_lenet(folder, eight_digits()[0], 10, augmented=True)


def train_resnet8(folder: Path) -> None:
    """Write model.keras, a ResNet-8 for colour images, and dropped.keras, the same without batch normalization."""
    from edge_cnn.host.training import TrainConfig, train

    config = TrainConfig("resnet8", epochs=4, patience=None, augmentation=None)
    model = train(config, coloured(_digits()[0], 1)).model
    model.save(folder / "model.keras")
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            _, _, mean, variance = layer.get_weights()
            layer.set_weights([(variance + layer.epsilon) ** 0.5, mean, mean, variance])
    model.save(folder / "dropped.keras")


def eight_digits() -> list[LabelledImages]:
    """Training and test part of `digits` without 8 and 9."""
    parts = [part.select(part.labels < FEWER) for part in _digits()]
    return [replace(part, class_names=part.class_names[:FEWER]) for part in parts]


def coloured(digits: LabelledImages, seed: int) -> LabelledImages:
    """The digits as 32x32 RGB images, each in a colour on another, so that channels cannot be swapped unseen."""
    rng = np.random.default_rng(seed)
    ink, paper = (rng.integers(*bounds, (len(digits), 1, 1, 3)) for bounds in ((120, 256), (0, 90)))
    strokes = np.pad(digits.images / 255, ((0, 0), (2, 2), (2, 2), (0, 0)))
    images = np.rint(paper + strokes * (ink - paper)).astype(np.uint8)
    return LabelledImages(images, digits.labels, digits.class_names)


def _train_lenet(folder: Path, part: LabelledImages, epochs: int, *, augmented: bool) -> None:
    from edge_cnn.host.training import TrainConfig, train
    from edge_cnn.host.training.augmentation import Augmentation

    augmentation = Augmentation() if augmented else None
    trained = train(TrainConfig("lenet", epochs=epochs, patience=None, augmentation=augmentation), part)
    trained.model.save(folder / "model.keras")
    about: dict[str, Any] = {
        "labels": trained.labels,
        "preprocessing": trained.preprocessing.to_json(),
        "architecture": "lenet",
        "seed": trained.config.seed,
    }
    (folder / "training.json").write_text(json.dumps(about))


def _digits() -> tuple[LabelledImages, LabelledImages]:
    from edge_cnn.host.datasets import load_dataset

    digits = load_dataset("digits")
    return digits.train, digits.test
