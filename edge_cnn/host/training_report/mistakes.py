"""Which classes were mixed up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.charts import confusion_matrix
from edge_cnn.host.evaluation import Evaluation
from edge_cnn.host.insight.confused_pairs import confused_pairs
from edge_cnn.host.training_report.section import Section, Story

PAIRS_NAMED = 3


def confusion(story: Story) -> Section:
    """How often each class was taken for each other."""
    evaluation = story.evaluation
    return Section(
        "Which classes were mixed up",
        confusion_matrix(evaluation.confusion, evaluation.class_names),
        f"The {len(evaluation.labels)} samples of the test part. Blue: right. Orange: wrong.{_mixed_up(evaluation)}",
    )


def _mixed_up(evaluation: Evaluation) -> str:
    """The pairs that were mixed up most often, where any were; of two classes there is one pair, which is seen."""
    pairs = confused_pairs(evaluation.confusion, evaluation.class_names, PAIRS_NAMED)
    if pairs and len(evaluation.class_names) == 2:
        return ""
    told = "; ".join(pair.in_words() for pair in pairs)
    return f" Most often mixed up: {told}." if pairs else " None was mixed up."


def visible_pixels(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels as they are; float inputs stretched to 0..255, and their first channel where there are not 1 or 3.

    Args:
        images: uint8 or float (n, height, width, channels).
    """
    if images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        images = ((images - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)
    return images if images.shape[3] in (1, 3) else images[..., :1]
