"""`training.json`, which `train` writes beside a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import EdgeCnnError, ModelError
from edge_cnn.core.preprocessing import Preprocessing

TRAINING_FILE = "training.json"
"""Stands beside the model that `train` writes: labels, preprocessing and how the model came about."""


def read_training(path: Path) -> tuple[tuple[str, ...], Preprocessing, dict[str, Any]]:
    """Labels, preprocessing and provenance.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        value = json.loads(path.read_bytes())
        labels = tuple(str(label) for label in value["labels"])
        preprocessing = Preprocessing.from_json(value["preprocessing"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EdgeCnnError) as error:
        raise ModelError(
            f"{path} cannot be used: {type(error).__name__}: {error}; train again, or remove it and give --input-range"
        ) from error
    kept = ("architecture", "config", "data", "seed", "task", "test_accuracy", "test_loss", "versions")
    return labels, preprocessing, {key: value[key] for key in kept if key in value}
