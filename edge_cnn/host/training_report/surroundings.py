"""The loss around the minimum that the training found."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.labelled_images import stratified_sample
from edge_cnn.host.landscape.charts import surface_map, surface_relief
from edge_cnn.host.landscape.cost import affordable_effort
from edge_cnn.host.landscape.rounding import rounding_step
from edge_cnn.host.landscape.surface import loss_surface
from edge_cnn.host.training.inputs import model_inputs
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.section import Section, Story


def surroundings(story: Story) -> Section:
    """The loss on a plane through the weights, from above and as a relief."""
    result = story.result
    fitted = story.dataset.train.select(result.fit_rows)
    effort = affordable_effort(result.model, len(fitted))
    chosen = fitted.select(stratified_sample(fitted.labels, effort.samples, np.random.default_rng(result.config.seed)))
    surface = loss_surface(
        result.model,
        model_inputs(chosen.images, result.preprocessing),
        chosen.labels,
        objective_name=result.config.objective,
        points=effort.points,
        seed=result.config.seed,
    )
    unit = find_objective(result.config.objective).unit
    return Section(
        "The loss around this minimum",
        f'<div class="pair"><div>{surface_map(surface, unit)}</div><div>{surface_relief(surface, unit)}</div></div>',
        f"The loss of {surface.samples} training samples where all weights move in two random directions; at 1 every "
        "filter has moved by its own length (Li et al. 2018). Colours and heights are logarithmic. A wide valley "
        "forgives small changes of the weights, a narrow one does not; rounding them to int8 moves a filter by "
        f"{rounding_step(result.model):.3f}.",
        wide=True,
    )
