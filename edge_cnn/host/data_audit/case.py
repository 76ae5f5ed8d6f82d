"""What findings look at: the data, how it is to be trained on, and what several of them need to know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.sample_digests import groups_of_equal
from edge_cnn.host.datasets import Dataset
from edge_cnn.host.datasets.remark import Example
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.objectives import find_objective

SHOWN = 6
"""Examples of a remark."""


@dataclass(frozen=True)
class Case:
    """Data before a training.

    Attributes:
        dataset: both parts.
        config: how it is going to be trained on.
    """

    dataset: Dataset
    config: TrainConfig

    @property
    def train(self) -> LabelledImages:
        return self.dataset.train

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.dataset.train.class_names

    @property
    def classifies(self) -> bool:
        """Whether labels are learned; else they only tell how the parts are split."""
        return find_objective(self.config.objective).classifies

    @cached_property
    def equal(self) -> list[tuple[list[int], ...]]:
        """Rows of the training part, and of the test part, of each image that is there more than once."""
        return groups_of_equal(self.dataset.train.images, self.dataset.test.images)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Samples of each class in both parts together, int64 (classes,)."""
        labels = np.concatenate([self.dataset.train.labels, self.dataset.test.labels])
        return np.bincount(labels, minlength=len(self.class_names))

    def some_images(self, most_values: int, most: int = 500) -> NDArray[Any]:
        """Images of the training part, evenly apart, so many that they have about `most_values` values."""
        images = self.train.images
        count = min(most, max(20, most_values // max(1, images[0].size)))
        return images[:: max(1, len(images) // count)]

    def name(self, part: str, row: int) -> str:
        """What a person knows a sample by, with its class."""
        samples = self.dataset.train if part == "train" else self.dataset.test
        where = "/".join(samples.sources[row].split("/")[-2:]) if samples.sources else f"{part} sample {row}"
        return f"{where} ({self.class_names[int(samples.labels[row])]})"

    def example(self, part: str, row: int) -> Example:
        return Example(part, row, self.name(part, row))
