"""The line between the two best minima of several trainings."""

from __future__ import annotations

from dataclasses import replace

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.landscape.line import line_between
from edge_cnn.host.restarts.restarts import Restarts
from edge_cnn.host.training.inputs import model_inputs

SAMPLES = 1000
"""Of the training part, at most: every point on the line costs two passes over them."""


def with_line(restarts: Restarts, samples: LabelledImages, points: int = 21) -> Restarts:
    """With the objective from the best minimum to the second, on samples that both were trained on.

    Args:
        restarts: of the same samples; come back as they are where fewer than two have a minimum.
        samples: the training part, as `train` got it.
        points: on the line, the ends included.
    """
    ranking = restarts.ranking
    if len(ranking) < 2:
        return restarts
    result = restarts.result
    # The split shuffles, so that the first rows are any.
    rows = result.fit_rows[:SAMPLES]
    first, second = (restarts.runs[number].weights for number in ranking[:2])
    inputs = model_inputs(samples.images[rows], result.preprocessing)
    line = line_between(result.model, first, second, inputs, samples.labels[rows], result.config.objective, points)
    return replace(restarts, line=line)
