"""The course of loss and accuracy."""

from __future__ import annotations

from edge_cnn.host.charts import training_curve
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.origin_words import first_epoch
from edge_cnn.host.training_report.section import Section, Story


def learning(story: Story) -> Section:
    """Loss and error by epoch, of training and of validation."""
    return Section(
        "Learning",
        training_curve(story.result.history, find_objective(story.result.config.objective).unit),
        f"{first_epoch(story.result.config.origin)} Training is measured while weights move, with augmentation and "
        "dropout where there are any: it may look worse than validation, which is measured on "
        "samples that no update saw.",
    )
