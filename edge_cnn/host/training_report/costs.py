"""What the network costs a device: where it computes and where it stores."""

from __future__ import annotations

from typing import Any

from edge_cnn.core.errors import ModelError
from edge_cnn.host.budget import ModelCosts, model_costs
from edge_cnn.host.budget.file_size import INT8
from edge_cnn.host.budget.operations import Operation
from edge_cnn.host.charts import FIRST, SECOND, WIDTH_INCHES, drawing, svg_text
from edge_cnn.host.training_report.section import Section, Story

LAYERS_SHOWN = 30
"""Of a larger network, those that compute most."""

MEASURES = (
    ("macs", "multiply-accumulates a sample", FIRST),
    ("weights", "bytes of int8 weights", SECOND),
)


def costs(story: Story) -> Section | None:
    """Multiplications and weights by layer, with the totals."""
    return costs_of_model(story.result.model)


def costs_of_model(model: Any, *, exports: bool = True) -> Section | None:
    """The same of a Keras model, also one that is not exported; None for one that is no graph of layers."""
    try:
        found = model_costs(model)
    except ModelError:
        return None
    text = (
        f"{found.macs:,} multiply-accumulates a sample in all; the .tflite file takes about {found.size(INT8):,} bytes "
        f"as int8, and its activations at least {found.activation_bytes(INT8):,} bytes of memory. Counted from the "
        "network, batch normalization folded away as an export does"
        + ("; 'edge-cnn export' tells what it really is." if exports else ".")
    )
    return Section("What it costs a device", cost_chart(found), text)


def cost_chart(found: ModelCosts) -> str:
    """Two bars a layer with weights, from the first layer down; SVG text."""
    layers = _shown([operation for operation in found.graph.operations if operation.cost.weights])
    with drawing(WIDTH_INCHES, 0.7 + 0.17 * len(layers)) as figure:
        pair = figure.subplots(1, 2, sharey=True)
        for axes, (measure, title, colour) in zip(pair, MEASURES, strict=True):
            axes.barh(range(len(layers)), [getattr(layer.cost, measure) for layer in layers], color=colour, height=0.7)
            axes.set_xlabel(title)
            axes.grid(visible=False, axis="y")
            axes.grid(visible=True, axis="x")
            axes.xaxis.set_major_locator(_few_ticks())
            axes.xaxis.set_major_formatter(_short_numbers())
        pair[0].set_yticks(range(len(layers)), [layer.layer for layer in layers])
        pair[0].invert_yaxis()
        return svg_text(figure, "Multiplications and weights by layer")


def _shown(layers: list[Operation]) -> list[Operation]:
    if len(layers) <= LAYERS_SHOWN:
        return layers
    least = sorted(layer.cost.macs for layer in layers)[-LAYERS_SHOWN]
    return [layer for layer in layers if layer.cost.macs >= least][:LAYERS_SHOWN]


def _few_ticks() -> object:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def _short_numbers() -> object:
    """12,000,000 as 12M."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")
