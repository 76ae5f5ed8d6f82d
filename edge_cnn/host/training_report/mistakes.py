"""Which classes were mixed up, and the images that were answered wrong with most confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.charts import confusion_matrix, image_grid
from edge_cnn.host.decision_surface.plane import plane_of
from edge_cnn.host.training_report.section import Section, Story

MISTAKES_SHOWN = 24


def confusion(story: Story) -> Section:
    """How often each class was taken for each other."""
    evaluation = story.evaluation
    return Section(
        "Which classes were mixed up",
        confusion_matrix(evaluation.confusion, evaluation.class_names),
        f"The {len(evaluation.labels)} samples of the test part. Blue: right. Orange: wrong.",
    )


def surest_mistakes(story: Story) -> Section | None:
    """The wrong answers with the highest scores, as pictures; None for points, which the plane shows."""
    if plane_of(story.dataset.train, story.dataset.test) is not None:
        return None
    evaluation = story.evaluation
    shown = evaluation.worst_mistakes(MISTAKES_SHOWN)
    if not len(shown):
        return Section("No mistakes on the test part", "", wide=True)
    names = evaluation.class_names
    captions = [
        f"{names[evaluation.labels[i]]}, taken for {names[evaluation.answers[i]]} ({evaluation.scores[i].max():.0%})"
        for i in shown
    ]
    return Section(
        "The surest mistakes", image_grid(visible_pixels(story.dataset.test.images[shown]), captions), wide=True
    )


def visible_pixels(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels as they are; float inputs stretched to 0..255, and their first channel where there are not 1 or 3.

    Args:
        images: uint8 or float (n, height, width, channels).
    """
    if images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        images = ((images - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)
    return images if images.shape[3] in (1, 3) else images[..., :1]
