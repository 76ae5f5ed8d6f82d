"""How far the network's confidence is to be believed."""

from __future__ import annotations

import numpy as np

from edge_cnn.host.insight.calibration import Calibration, fit_temperature, measure_calibration, tempered
from edge_cnn.host.insight.charts import reliability_diagram
from edge_cnn.host.training import predict_scores
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.section import Section, Story


def confidence(story: Story) -> Section | None:
    """Accuracy by confidence, and the temperature that would bring the two together."""
    result, evaluation = story.result, story.evaluation
    if not find_objective(result.config.objective).classifies:
        return None
    measured = measure_calibration(evaluation.scores, evaluation.labels)
    # Fitted on samples that no update saw, and judged on others, which chose nothing.
    validation = story.dataset.train.select(result.validation_rows)
    scores = predict_scores(result.model, validation, result.preprocessing)
    temperature = fit_temperature(_logarithms(scores), validation.labels)
    mended = None
    if temperature is not None:
        mended = measure_calibration(tempered(_logarithms(evaluation.scores), temperature), evaluation.labels)
    return Section(
        "How far its confidence can be believed",
        reliability_diagram(measured),
        f"{in_words(measured)} {_remedy(measured, temperature, mended)}",
    )


def in_words(measured: Calibration) -> str:
    """What the calibration error says, and whether there are enough samples to say it."""
    gap = measured.confidence - measured.accuracy
    kind = "too sure" if gap > 0 else "not sure enough"
    error = f"the expected calibration error is {measured.error:.1%}"
    told = f"It is right in {measured.accuracy:.1%} of the test part and {measured.confidence:.1%} sure on average"
    if measured.error <= measured.luck:
        return f"{told}; {error}, no more than luck explains on so few samples ({measured.luck:.1%})."
    return f"{told}: {kind} by {100 * abs(gap):.1f} points; {error}, where luck explains {measured.luck:.1%} at most."


def _remedy(measured: Calibration, temperature: float | None, mended: Calibration | None) -> str:
    if temperature is None or mended is None:
        return "The validation part has too few mistakes to fit a temperature."
    if measured.error <= measured.luck:
        return f"The temperature that suits the validation part best is {temperature:.2f}; 1 changes nothing."
    outcome = "would bring it to" if mended.error < measured.error else "would not help, it would make it"
    return f"Dividing the logits by {temperature:.2f}, fitted on the validation part, {outcome} {mended.error:.1%}."


def _logarithms(scores: np.ndarray) -> np.ndarray:
    """Logits but for a constant a row; a score of 0 is one that float32 cannot show."""
    return np.log(np.maximum(scores.astype(np.float64), np.finfo(np.float32).tiny))
