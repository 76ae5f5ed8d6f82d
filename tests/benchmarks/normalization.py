"""What inputs of another scale cost a training: `python -m tests.benchmarks.normalization` prints a table.

The same digits, the same networks, the same seed; only the scale of the float inputs differs, and whether the layer
that normalizes stands before the network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.datasets import load_dataset
from edge_cnn.host.evaluation import evaluate
from edge_cnn.host.training import TrainConfig, predict_scores, train
from edge_cnn.host.training.normalization import AUTO, NONE

SAMPLES, EPOCHS = 1500, 6

SCALES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "0..1": lambda x: x,
    "0..10": lambda x: 10 * x,
    "0..255": lambda x: 255 * x,
    "0..0.01": lambda x: x / 100,
    "10..11": lambda x: x + 10,
}

NETWORKS = {
    "lenet, adam": TrainConfig("lenet", "adam"),
    "lenet, sgd": TrainConfig("lenet", "sgd"),
    "mlp, adam": TrainConfig("mlp", "adam"),
    "mlp, sgd": TrainConfig("mlp", "sgd"),
}


def accuracy(config: TrainConfig, scale: Callable[[NDArray[Any]], NDArray[Any]]) -> float:
    """Share of the test part that is answered right."""
    digits = load_dataset("digits")
    parts = [
        replace(part, images=scale(part.images / np.float32(255)).astype(np.float32))
        for part in (digits.train.select(np.arange(SAMPLES)), digits.test)
    ]
    result = train(config, parts[0])
    return evaluate(predict_scores(result.model, parts[1], result.preprocessing), parts[1]).accuracy


def main() -> None:
    """Print a row a scale, as Markdown: each network with its inputs as they are, and normalized."""
    sys.stdout.write("| inputs | " + " | ".join(NETWORKS) + " |\n| --- |" + " ---: |" * len(NETWORKS) + "\n")
    for name, scale in SCALES.items():
        cells: list[str] = []
        for config in NETWORKS.values():
            asked = replace(config, epochs=EPOCHS, augmentation=None, patience=None)
            plain, mended = (accuracy(replace(asked, normalization=how), scale) for how in (NONE, AUTO))
            cells.append(f"{100 * plain:.1f} % -> {100 * mended:.1f} %")
        sys.stdout.write(f"| {name} | " + " | ".join(cells) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
