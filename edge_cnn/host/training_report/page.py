"""What a training came to, as one HTML file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_cnn.host.page_template import render
from edge_cnn.host.training import TrainResult
from edge_cnn.host.training.origin import Origin
from edge_cnn.host.training_report.confidence import confidence
from edge_cnn.host.training_report.costs import costs
from edge_cnn.host.training_report.data_remarks import data_remarks
from edge_cnn.host.training_report.decision_surface import film, neurons, surface
from edge_cnn.host.training_report.findings import findings
from edge_cnn.host.training_report.gradients import gradients
from edge_cnn.host.training_report.hardest_images import hardest_images
from edge_cnn.host.training_report.learning import learning
from edge_cnn.host.training_report.mistakes import confusion
from edge_cnn.host.training_report.origin_words import origin_fact, started_from
from edge_cnn.host.training_report.range_curve import range_curve
from edge_cnn.host.training_report.restarts import between_minima, restarts
from edge_cnn.host.training_report.section import Section, Story
from edge_cnn.host.training_report.sight import filters, maps
from edge_cnn.host.training_report.surroundings import surroundings
from edge_cnn.host.training_report.symmetry import symmetry
from edge_cnn.host.training_report.trials import trials

TEMPLATE = "training_report.html"

SECTIONS: tuple[Callable[[Story], Section | None], ...] = (
    surface,
    learning,
    findings,
    data_remarks,
    range_curve,
    film,
    neurons,
    symmetry,
    restarts,
    between_minima,
    filters,
    maps,
    hardest_images,
    confusion,
    confidence,
    gradients,
    surroundings,
    costs,
    trials,
)
"""In the order of the page; one that has nothing to say of a training gives None."""


def training_report(story: Story) -> str:
    """The page as text.

    Raises:
        UnavailableError: matplotlib or Jinja2 is not installed.
    """
    result, evaluation, record = story.result, story.evaluation, story.record
    best = result.history[result.best_epoch]
    wrong = len(evaluation.labels) - int(np.trace(evaluation.confusion))
    return render(
        "edge_cnn.host",
        TEMPLATE,
        title=f"{result.config.architecture} on {record['data']['name']}",
        summary=summary(result),
        cards=[
            {"value": _percent(evaluation.accuracy), "label": "right on the test part"},
            {"value": f"{wrong} of {len(evaluation.labels)}", "label": "wrong on the test part"},
            {"value": _percent(best.val_accuracy), "label": "right on the validation part"},
            {"value": f"{result.model.count_params():,}", "label": "parameters"},
            *([] if best.test_loss is None else [{"value": f"{best.test_loss:.4f}", "label": "loss on the test part"}]),
        ],
        sections=[section for make in SECTIONS if (section := make(story)) is not None],
        facts=[{"name": name, "value": value} for name, value in facts(record).items()],
    )


def summary(result: TrainResult) -> str:
    """How the training went, in a sentence."""
    ending = (
        ", ended by Ctrl-C"
        if result.interrupted
        else ", ended by a loss that was not finite"
        if result.diverged
        else ""
    )
    start, epochs = started_from(result), len(result.history) - 1
    return (
        f"Trained {start + ', ' if start else ''}for {epochs} epoch{'' if epochs == 1 else 's'}{ending}; "
        f"the weights are those of epoch {result.best_epoch}, which had the lowest validation loss."
    )


def facts(record: dict[str, Any]) -> dict[str, str]:
    """What the network was made of, by name; `record` is the content of `training.json`."""
    data, preprocessing, config = record["data"], record["preprocessing"], dict(record["config"])
    if config.get("origin"):
        # The weights are not drawn by any rule.
        config = {name: value for name, value in config.items() if name != "initialization"}
        config["origin"] = origin_fact(Origin(**config["origin"]))
    return {
        "data": data["name"],
        "source": data["source"],
        "licence": data["licence"],
        "fingerprint": data["fingerprint"],
        "input": f"{preprocessing['height']}x{preprocessing['width']}x{preprocessing['channels']}, "
        f"(pixel - {_values(preprocessing['mean'])}) / {_values(preprocessing['std'])}",
        "seed": str(record["seed"]),
        **{name.replace("_", " "): _plain(value) for name, value in config.items() if name != "seed"},
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return (", ".join(map(str, value[:4])) or "none") + (f", ... ({len(value)})" if len(value) > 4 else "")
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _values(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
