"""Whether the calibration inputs are what the model was trained on: their span, and what other usual scalings give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.samples import Calibration
from converters.calibration.usual_preprocessing import PROBE_SAMPLES, BetterWay, better_way
from edge_cnn.core.preprocessing import Preprocessing, normalization_table

_BEYOND = 0.01
_NARROW = 1 / 20


@dataclass(frozen=True)
class PreprocessingAudit:
    """Figures of the inputs' scale.

    Attributes:
        span: smallest and largest value of the calibration inputs.
        expected: what pixels 0 and 255 become by the preprocessing, over all channels.
        accuracy: share of the calibration samples that the float model gets right; None where labels are not known.
        better: a usual way that gets clearly more right; None if there is none.
    """

    span: tuple[float, float]
    expected: tuple[float, float]
    accuracy: float | None
    better: BetterWay | None

    @property
    def ratio(self) -> float:
        """How many times as wide the inputs are as the preprocessing makes them."""
        return (self.span[1] - self.span[0]) / (self.expected[1] - self.expected[0])

    def remarks(self) -> list[str]:
        """What a person should know, a line each."""
        found: list[str] = []
        (low, high), (start, end) = self.span, self.expected
        slack = _BEYOND * (end - start)
        if low < start - slack or high > end + slack or self.ratio < _NARROW:
            kind = ", like ImageNet normalization" if -2.3 < low < -1.5 and 1.8 < high < 2.7 else ""
            found.append(
                f"calibration inputs span {low:.4g}..{high:.4g}{kind}, the model's preprocessing makes "
                f"{start:.4g}..{end:.4g}: {self.ratio:.3g} times as wide; check how the data was made, or --input-range"
            )
        if self.better is not None and self.accuracy is not None:
            way, share = self.better.way, self.better.share
            found.append(
                f"with pixels scaled to {way.name} the float model gets {share:.0%} of the calibration samples right, "
                f"with {start:.4g}..{end:.4g} only {self.accuracy:.0%}: the preprocessing looks wrong; {way.advice}"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "span": [float(f"{end:.6g}") for end in self.span],
            "expected": [float(f"{end:.6g}") for end in self.expected],
            "ratio": float(f"{self.ratio:.4g}"),
            "accuracy": self.accuracy,
            "better": None if self.better is None else {"scaling": self.better.way.name, "accuracy": self.better.share},
        }


def audit_preprocessing(
    calibration: Calibration,
    preprocessing: Preprocessing,
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> PreprocessingAudit:
    """Compare the inputs with what `preprocessing` makes, and answers with those under other usual scalings.

    Args:
        calibration: the samples, with their labels if other scalings are to be tried.
        preprocessing: of the model.
        predict: the float model, inputs (n, height, width, channels) -> outputs (n, classes).
    """
    inputs = calibration.inputs
    table = normalization_table(preprocessing).astype(np.float64)
    expected = (float(table.min()), float(table.max()))
    span = (float(inputs.min()), float(inputs.max()))
    if predict is None or calibration.labels is None:
        return PreprocessingAudit(span, expected, None, None)
    labels = calibration.labels[:PROBE_SAMPLES]
    probes = inputs[:PROBE_SAMPLES].astype(np.float64)
    # Back to pixels 0..255, as the mean and deviation of each channel say.
    pixels = probes * np.asarray(preprocessing.std) + np.asarray(preprocessing.mean)

    def answers(other: Preprocessing) -> NDArray[np.bool_]:
        scaled = (pixels - np.asarray(other.mean)) / np.asarray(other.std)
        return predict(scaled.astype(np.float32)).argmax(axis=1) == labels

    right = predict(inputs[:PROBE_SAMPLES]).argmax(axis=1) == labels
    return PreprocessingAudit(span, expected, float(np.mean(right)), better_way(preprocessing, right, answers))
