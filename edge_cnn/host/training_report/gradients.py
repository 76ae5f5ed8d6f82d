"""Whether the gradient reached every layer."""

from __future__ import annotations

from edge_cnn.host.insight.charts import gradient_chart
from edge_cnn.host.insight.gradient_flow import flow_in_words, gradient_flow
from edge_cnn.host.training_report.section import Section, Story


def gradients(story: Story) -> Section | None:
    """Gradient of each layer by epoch; vanishing and exploding ones are named."""
    flow = gradient_flow(story.result.model, story.result.history)
    if flow is None:
        return None
    return Section("The gradient of each layer", gradient_chart(flow), flow_in_words(flow))
