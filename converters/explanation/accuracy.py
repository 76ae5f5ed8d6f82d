"""How many samples a file gets right, run as a device runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensorflow_graph import forward
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.host.tensorflow_import import import_tensorflow

_BATCH = 128


def artifact_accuracy(artifact: Artifact, samples: LabelledImages, preprocessing: Preprocessing) -> float:
    """Share of `samples` (n, height, width, channels) that the file gets right on the preferred runtime here.

    Raises:
        ModelError, RuntimeUnavailableError: it cannot be run.
    """
    runtime = open_runtime(artifact)
    right = 0
    for start in range(0, len(samples), _BATCH):
        images = samples.images[start : start + _BATCH]
        scores = runtime.run([to_model_input(images, preprocessing, runtime.inputs[0])])[0]
        answers = np.asarray(scores).reshape(len(images), -1).argmax(axis=1)
        right += int((answers == samples.labels[start : start + _BATCH]).sum())
    return right / len(samples)


def tflite_accuracy(data: bytes, samples: LabelledImages, preprocessing: Preprocessing) -> float:
    """The same of the bytes of a `.tflite`."""
    return artifact_accuracy(Artifact("model.tflite", TFLITE, data), samples, preprocessing)


def at_chance(accuracy: float, classes: int) -> bool:
    """Whether a float model is hardly better than guessing, so that drops from it say nothing."""
    return accuracy < 1.5 / classes


def graph_scores(graph: FloatGraph, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """A float graph's output for model inputs (n, ...): float32 (n, classes).

    Raises:
        ModelError: an operator that edge_cnn does not read.
    """
    import_tensorflow()
    run: Any = forward(graph)
    parts = [np.asarray(run(inputs[i : i + _BATCH])) for i in range(0, len(inputs), _BATCH)]
    return np.concatenate(parts).reshape(len(inputs), -1)


def graph_accuracy(graph: FloatGraph, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of samples that a float graph gets right."""
    return float(np.mean(graph_scores(graph, inputs).argmax(axis=1) == labels))
