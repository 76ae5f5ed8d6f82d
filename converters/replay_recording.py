"""Store a few embeddings a class, so that fine-tuning on the device does not forget what it cannot see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import NoHeadError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.samples import ReplaySamples
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime

REPLAY_PER_CLASS = 30


def record_replay(
    artifacts: Sequence[Artifact],
    train: LabelledImages,
    preprocessing: Preprocessing,
    per_class: int,
    rng: np.random.Generator,
) -> ReplaySamples | None:
    """Embeddings of the same training samples from each artifact's own backbone.

    Args:
        artifacts: the converted files; those without a fully-connected head are left out.
        train: the training part of the data.
        preprocessing: of the model.
        per_class: how many samples of each class; all, if there are fewer.
        rng: source of the choice.

    Returns:
        None where no artifact has a head.
    """
    members = [rng.permutation(np.flatnonzero(train.labels == label))[:per_class] for label in np.unique(train.labels)]
    chosen = train.select(np.concatenate(members))
    embeddings: dict[str, NDArray[Any]] = {}
    for artifact in artifacts:
        try:
            backbone = split_head(artifact).backbone
        except NoHeadError:
            continue
        runtime = open_runtime(backbone)
        (codes,) = runtime.run([to_model_input(chosen.images, preprocessing, runtime.inputs[0])])
        embeddings[artifact.name] = codes.reshape(len(chosen), -1)
    return ReplaySamples(chosen.labels, embeddings) if embeddings else None
