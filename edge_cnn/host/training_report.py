"""What a training came to, as one HTML file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.charts import confusion_matrix, image_grid, training_curve
from edge_cnn.host.evaluation import Evaluation
from edge_cnn.host.page_template import render
from edge_cnn.host.training import TrainResult

TEMPLATE = "training_report.html"
MISTAKES_SHOWN = 24


def training_report(result: TrainResult, evaluation: Evaluation, test: LabelledImages, record: dict[str, Any]) -> str:
    """The page as text.

    Args:
        result: the training.
        evaluation: of the test part.
        test: the test part itself, for pictures.
        record: the content of `training.json`.

    Raises:
        UnavailableError: matplotlib or Jinja2 is not installed.
    """
    best = result.history[result.best_epoch]
    wrong = len(test) - int(np.trace(evaluation.confusion))
    shown = evaluation.worst_mistakes(MISTAKES_SHOWN)
    return render(
        "edge_cnn.host",
        TEMPLATE,
        title=f"{result.config.architecture} on {record['data']['name']}",
        summary=_summary(result),
        cards=[
            {"value": _percent(evaluation.accuracy), "label": "right on the test part"},
            {"value": f"{wrong} of {len(test)}", "label": "wrong on the test part"},
            {"value": _percent(best.val_accuracy), "label": "right on the validation part"},
            {"value": f"{result.model.count_params():,}", "label": "parameters"},
        ],
        curve=training_curve(result.history),
        confusion=confusion_matrix(evaluation.confusion, evaluation.class_names),
        test_count=len(test),
        mistakes_title="The surest mistakes" if wrong else "No mistakes on the test part",
        mistakes=_mistakes(evaluation, test, shown) if len(shown) else "",
        facts=[{"name": name, "value": value} for name, value in _facts(record).items()],
    )


def _mistakes(evaluation: Evaluation, test: LabelledImages, shown: NDArray[np.int64]) -> str:
    names = evaluation.class_names
    captions = [
        f"{names[evaluation.labels[i]]}, taken for {names[evaluation.answers[i]]} ({evaluation.scores[i].max():.0%})"
        for i in shown
    ]
    return image_grid(_pictures(test.images[shown]), captions)


def _pictures(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels as they are; float inputs stretched to 0..255, and their first channel where there are not 1 or 3."""
    if images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        images = ((images - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)
    return images if images.shape[3] in (1, 3) else images[..., :1]


def _summary(result: TrainResult) -> str:
    ending = (
        ", ended by Ctrl-C"
        if result.interrupted
        else ", ended by a loss that was not finite"
        if result.diverged
        else ""
    )
    return (
        f"Trained for {len(result.history) - 1} epochs{ending}; the weights are those of epoch {result.best_epoch}, "
        "which had the lowest validation loss."
    )


def _facts(record: dict[str, Any]) -> dict[str, str]:
    data, preprocessing = record["data"], record["preprocessing"]
    return {
        "data": data["name"],
        "source": data["source"],
        "licence": data["licence"],
        "fingerprint": data["fingerprint"],
        "input": f"{preprocessing['height']}x{preprocessing['width']}x{preprocessing['channels']}, "
        f"(pixel - {_values(preprocessing['mean'])}) / {_values(preprocessing['std'])}",
        "seed": str(record["seed"]),
        **{name.replace("_", " "): _plain(value) for name, value in record["config"].items() if name != "seed"},
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _values(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
