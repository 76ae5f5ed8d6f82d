"""Record what the host computes, so that a device can be compared with it without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import NoHeadError
from edge_cnn.core.labelled_images import LabelledImages, stratified_sample
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.protocols import Runtime
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime, reference_runtime

DEFAULT_SAMPLES = 256


def open_reference(artifact: Artifact) -> Runtime:
    """The runtime whose kernels record codes here; for TFLite those that give the same bits on every machine.

    Raises:
        ModelError, RuntimeUnavailableError: the artifact cannot be run here.
    """
    return open_runtime(artifact, reference_runtime(artifact.format))


def record_golden(
    predict: Callable[[NDArray[Any]], NDArray[np.float32]],
    artifacts: Sequence[Artifact],
    samples: LabelledImages,
    preprocessing: Preprocessing,
    *,
    count: int = DEFAULT_SAMPLES,
    rng: np.random.Generator,
    on_artifact: Callable[[Artifact], None] | None = None,
) -> GoldenSamples:
    """Choose samples, every class in its share, and run the float model and every artifact on them.

    Args:
        predict: the float model, uint8 images or float inputs as in `samples` -> float32 (n, classes).
        artifacts: the converted files.
        samples: held-out data.
        preprocessing: of the model.
        count: how many samples to record; all, if there are fewer.
        rng: source of the choice.
        on_artifact: called before each artifact is run.

    Raises:
        ModelError, RuntimeUnavailableError: an artifact cannot be run here.
    """
    chosen = samples.select(stratified_sample(samples.labels, count, rng))
    outputs: dict[str, NDArray[Any]] = {}
    logits: dict[str, NDArray[Any]] = {}
    for artifact in artifacts:
        if on_artifact is not None:
            on_artifact(artifact)
        outputs[artifact.name] = _run(artifact, chosen, preprocessing)
        try:
            view = split_head(artifact).logits_view
        except NoHeadError:
            continue
        logits[artifact.name] = _run(view, chosen, preprocessing)
    return GoldenSamples(chosen.images, chosen.labels, predict(chosen.images), outputs, logits)


def _run(artifact: Artifact, samples: LabelledImages, preprocessing: Preprocessing) -> NDArray[Any]:
    runtime = open_reference(artifact)
    (output,) = runtime.run([to_model_input(samples.images, preprocessing, runtime.inputs[0])])
    return output
