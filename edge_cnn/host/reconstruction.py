"""How a network that learns to give its input back does on samples that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training.inputs import model_inputs

_BATCH = 256


@dataclass(frozen=True)
class Reconstruction:
    """Inputs beside what came back.

    Attributes:
        inputs, outputs: float32 (n, height, width, channels), as the network takes them.
        labels: int64 (n,), classes that the network never saw as such.
        class_names: one a class.
    """

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Mean squared difference of each sample, float64 (n,): its anomaly score."""
        gaps = self.outputs.astype(np.float64) - self.inputs
        return (gaps**2).reshape(len(gaps), -1).mean(axis=1)

    @property
    def loss(self) -> float:
        """Mean of `errors`."""
        return float(self.errors.mean())

    @property
    def mean_loss(self) -> float:
        """What giving back the mean of all inputs, place by place, would cost: the variance of the inputs."""
        return float(self.inputs.astype(np.float64).var(axis=0).mean())

    @property
    def class_errors(self) -> dict[str, float]:
        """Mean of `errors` for each class that has samples."""
        errors = self.errors
        return {
            name: float(errors[self.labels == label].mean())
            for label, name in enumerate(self.class_names)
            if (self.labels == label).any()
        }


def reconstruct(model: Any, samples: LabelledImages, preprocessing: Preprocessing) -> Reconstruction:
    """Run a Keras model, float32 (n, height, width, channels) -> (n, height * width * channels), on samples.

    Raises:
        DataError: samples of another shape than the model's.
    """
    inputs = model_inputs(samples.images, preprocessing)
    outputs = np.asarray(model.predict(inputs, batch_size=_BATCH, verbose=0), np.float32)
    return Reconstruction(inputs, outputs.reshape(inputs.shape), samples.labels, samples.class_names)
