"""Whether the calibration inputs are what the model was trained on: their span, and what other usual scalings give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.samples import Calibration
from edge_cnn.core.preprocessing import Preprocessing, normalization_table

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
"""Of pixels 0..1, red first: what torchvision's models are trained with."""

_USUAL = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
_TRIED = 200
_BEYOND = 0.01
_NARROW = 1 / 20
_GAIN = 0.2
"""How many more samples another scaling must get right: far more than chance gives on 20 samples or more."""


@dataclass(frozen=True)
class PreprocessingAudit:
    """Figures of the inputs' scale.

    Attributes:
        span: smallest and largest value of the calibration inputs.
        expected: what pixels 0 and 255 become by the preprocessing, over all channels.
        accuracy: share of the calibration samples that the float model gets right; None where labels are not known.
        better: scaling that gets far more right, and its share; None if there is none.
    """

    span: tuple[float, float]
    expected: tuple[float, float]
    accuracy: float | None
    better: tuple[str, float] | None

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
            name, share = self.better
            found.append(
                f"with pixels scaled to {name} the float model gets {share:.0%} of the calibration samples right, with "
                f"{start:.4g}..{end:.4g} only {self.accuracy:.0%}: the preprocessing looks wrong; {_advice(name)}"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "span": [float(f"{end:.6g}") for end in self.span],
            "expected": [float(f"{end:.6g}") for end in self.expected],
            "ratio": float(f"{self.ratio:.4g}"),
            "accuracy": self.accuracy,
            "better": None if self.better is None else {"scaling": self.better[0], "accuracy": self.better[1]},
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
    labels = calibration.labels[:_TRIED]
    accuracy = _share_right(predict(inputs[:_TRIED]), labels)
    # Back to pixels 0..1, a channel at a time as its mean and deviation say.
    pixels = (inputs[:_TRIED].astype(np.float64) - table[0]) / (table[-1] - table[0])
    shares = {
        name: _share_right(predict(scaled.astype(np.float32)), labels)
        for name, scaled in _scalings(pixels, np.asarray(preprocessing.mean), np.asarray(preprocessing.std))
    }
    name, share = max(shares.items(), key=lambda item: item[1], default=("", 0.0))
    return PreprocessingAudit(span, expected, accuracy, (name, share) if share >= accuracy + _GAIN else None)


def _scalings(
    pixels: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> list[tuple[str, NDArray[np.float64]]]:
    """Other usual scalings of pixels 0..1 than the one with this mean and deviation of pixels 0..255."""
    found = [
        (name, low + pixels * (high - low))
        for name, (low, high) in _USUAL.items()
        if not (np.allclose(mean, -low * 255 / (high - low)) and np.allclose(std, 255 / (high - low)))
    ]
    if pixels.shape[-1] == 3 and not np.allclose(std, 255 * _IMAGENET_STD, rtol=0.05):
        found.append(("ImageNet's mean and deviation", (pixels - _IMAGENET_MEAN) / _IMAGENET_STD))
    return found


def _advice(name: str) -> str:
    if name in _USUAL:
        low, high = _USUAL[name]
        return f"try --input-range {low:g},{high:g}"
    return "give the normalized images as floats, or a training.json that says so"


def _share_right(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float(np.mean(outputs.argmax(axis=1) == labels))
