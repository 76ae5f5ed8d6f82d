"""What is doubtful about the data, in words and in the images that show it."""

from __future__ import annotations

from html import escape

import numpy as np

from edge_cnn.host.charts import image_grid
from edge_cnn.host.datasets import Dataset
from edge_cnn.host.datasets.remark import Example
from edge_cnn.host.training_report.mistakes import visible_pixels
from edge_cnn.host.training_report.section import Section, Story

_LEAST_PIXELS = 16
"""Smaller inputs are points and rows of numbers, which are no pictures."""


def data_remarks(story: Story) -> Section | None:
    """A line a remark, with its examples below; None where there is nothing to say."""
    return remarks_about(story.dataset)


def remarks_about(dataset: Dataset) -> Section | None:
    """As `data_remarks`, where there is no `Story`."""
    if not dataset.remarks:
        return None
    parts = [f"<p>{escape(remark.text)}</p>{_pictures(dataset, remark.examples)}" for remark in dataset.remarks]
    return Section("Remarks about the data", "\n".join(parts), wide=True)


def _pictures(dataset: Dataset, examples: tuple[Example, ...]) -> str:
    height, width = dataset.train.images.shape[1:3]
    if not examples or height * width < _LEAST_PIXELS:
        return ""
    parts = {"train": dataset.train.images, "test": dataset.test.images}
    images = visible_pixels(np.stack([parts[example.part][example.row] for example in examples]))
    return image_grid(images, [example.caption for example in examples])
