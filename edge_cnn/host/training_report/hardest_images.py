"""The test images that cost the network most."""

from __future__ import annotations

from edge_cnn.host.charts import image_grid
from edge_cnn.host.insight.filters import LEAST_SIDE
from edge_cnn.host.insight.hardest import hardest, sample_losses
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.mistakes import visible_pixels
from edge_cnn.host.training_report.section import Section, Story

SHOWN, SHOWN_OF_RIGHT = 24, 6
"""Of the test part, and of one without a mistake, where there is less to learn from them."""


def hardest_images(story: Story) -> Section | None:
    """The images with the largest loss, with truth, answer and loss."""
    evaluation, objective = story.evaluation, find_objective(story.result.config.objective)
    if not objective.classifies or min(story.dataset.test.images.shape[1:3]) < LEAST_SIDE:
        return None
    losses = sample_losses(evaluation.scores, evaluation.labels, objective.name)
    none_wrong = bool((evaluation.answers == evaluation.labels).all())
    shown = hardest(losses, SHOWN_OF_RIGHT if none_wrong else SHOWN)
    names = evaluation.class_names
    captions = [
        f"{names[truth]}, taken for {names[answer]} ({score:.0%}), loss {loss:.2g}"
        if truth != answer
        else f"{names[truth]}, right ({score:.0%}), loss {loss:.2g}"
        for truth, answer, score, loss in zip(
            evaluation.labels[shown],
            evaluation.answers[shown],
            evaluation.scores[shown].max(axis=1),
            losses[shown],
            strict=True,
        )
    ]
    if none_wrong:
        which = "the one" if len(shown) == 1 else f"the {len(shown)}"
        text = f"None of the {len(losses)} test images is wrong; these are {which} with the largest loss."
    else:
        share = float(losses[shown].sum() / max(losses.sum(), 1e-30))
        text = (
            f"The {len(shown)} of {len(losses)} test images with the largest loss; {share:.0%} of all the loss is "
            "theirs. Look for wrong labels first, then for what the training part has too little of."
        )
    return Section(
        "The hardest images",
        image_grid(visible_pixels(story.dataset.test.images[shown]), captions),
        text,
        wide=True,
    )
