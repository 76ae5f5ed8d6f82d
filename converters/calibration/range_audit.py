"""Whether the samples suffice: how much ranges still grow, and how much of new data they would clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.calibration.range_estimator import Range
from converters.calibration.ranges import grouped, new_estimators, ranges_from, remember, see
from converters.calibration.samples import Calibration
from converters.float_graph.float_graph import FloatGraph

_GROWTH_WORTH_SAYING = 0.3
"""Extremes grow for long: those of the worst tensor of ResNet-8 by 8 to 25 % with 100 to 2,000 CIFAR-10 images."""
_SATURATION_WORTH_SAYING = 0.01


@dataclass(frozen=True)
class RangeAudit:
    """Figures of the ranges.

    Attributes:
        samples: how many set them.
        growth: tensor name -> by which share of its range the ends moved when the second half of the samples came, in
            the chosen method; with min-max the share that the first half did not reach.
        held_out: how many other training samples were looked at.
        saturation: tensor name -> share of their activations outside the range of the chosen method; empty without.
    """

    samples: int
    growth: dict[str, float]
    held_out: int
    saturation: dict[str, float]

    @property
    def worst_growth(self) -> tuple[str, float]:
        """The tensor whose range grew most, and by which share."""
        return _largest(self.growth)

    @property
    def worst_saturation(self) -> tuple[str, float] | None:
        """The tensor of which most is clipped, and which share."""
        return _largest(self.saturation) if self.saturation else None

    def remarks(self, few: int) -> list[str]:
        """What a person should know, a line each; with fewer than `few` samples the growth in any case."""
        found: list[str] = []
        name, share = self.worst_growth
        if self.samples < few or share > _GROWTH_WORTH_SAYING:
            found.append(
                f"{self.samples} calibration samples: their second half moved the range of {name!r} by {share:.1%}; "
                "more samples make ranges depend less on chance"
            )
        if self.worst_saturation is not None and self.worst_saturation[1] > _SATURATION_WORTH_SAYING:
            name, share = self.worst_saturation
            found.append(
                f"{share:.1%} of what {name!r} holds on {self.held_out} other training samples lies outside its range; "
                "calibrate with more samples or with min-max"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        saturation = self.worst_saturation
        return {
            "growth": _entry(self.worst_growth),
            "held_out_samples": self.held_out,
            "saturation": None if saturation is None else _entry(saturation),
        }


def audit_ranges(graph: FloatGraph, calibration: Calibration) -> RangeAudit:
    """Run both halves of the samples, and then those held out.

    Raises:
        InputError: no such method.
        ModelError: an activation is NaN or infinite.
    """
    estimators = new_estimators(graph, calibration.method)
    half = len(calibration) // 2
    of_half: dict[int, Range] = {}
    for inputs in (calibration.inputs[:half], calibration.inputs[half:]):
        of_half = {index: estimator.range() for index, estimator in estimators.items()}
        for values in grouped(graph, inputs, tuple(estimators)):
            see(graph, estimators, values)
    growth = {
        graph.tensors[index].name: _moved(of_half[index], estimator.range()) for index, estimator in estimators.items()
    }
    ranges = ranges_from(graph, estimators)
    remember(graph, calibration, ranges)
    held_out = 0 if calibration.held_out is None else len(calibration.held_out)
    return RangeAudit(len(calibration), growth, held_out, _saturation(graph, calibration, ranges))


def _saturation(graph: FloatGraph, calibration: Calibration, ranges: dict[int, Range]) -> dict[str, float]:
    if calibration.held_out is None or not len(calibration.held_out):
        return {}
    outside, seen = dict.fromkeys(ranges, 0), dict.fromkeys(ranges, 0)
    for values in grouped(graph, calibration.held_out, tuple(ranges)):
        for index, array in values.items():
            low, high = np.float32(ranges[index][0]), np.float32(ranges[index][1])
            if array.min() < low or array.max() > high:
                outside[index] += int(np.count_nonzero((array < low) | (array > high)))
            seen[index] += array.size
    return {graph.tensors[index].name: outside[index] / seen[index] for index in ranges}


def _moved(before: Range, after: Range) -> float:
    width = after[1] - after[0]
    return (abs(after[0] - before[0]) + abs(after[1] - before[1])) / width if width else 0.0


def _largest(shares: dict[str, float]) -> tuple[str, float]:
    return max(shares.items(), key=lambda item: item[1])


def _entry(named: tuple[str, float]) -> dict[str, Any]:
    return {"tensor": named[0], "share": float(f"{named[1]:.4g}")}
