"""The audit of calibration data: refuse what cannot set ranges, say what is doubtful, record the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.preprocessing_audit import PreprocessingAudit, audit_preprocessing
from converters.calibration.range_audit import RangeAudit, audit_ranges
from converters.calibration.sample_audit import FEW_SAMPLES, SampleAudit, audit_samples
from converters.calibration.samples import Calibration
from converters.float_graph.float_graph import FloatGraph
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.sample_digests import overlap


@dataclass(frozen=True)
class CalibrationAudit:
    """What is known of the calibration data.

    Attributes:
        samples: the samples by themselves.
        preprocessing: their scale.
        ranges: the ranges that they set; None where no graph was at hand.
    """

    samples: SampleAudit
    preprocessing: PreprocessingAudit
    ranges: RangeAudit | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is doubtful, a line each; empty where all is well."""
        ranges = self.ranges.remarks(FEW_SAMPLES) if self.ranges else []
        return (*self.samples.remarks(), *self.preprocessing.remarks(), *ranges)

    def lines(self) -> list[str]:
        """The whole audit for a person: figures first, then remarks."""
        samples, ranges = self.samples, self.ranges
        classes = samples.class_counts
        found = [f"{samples.samples} calibration samples, inputs {_span(self.preprocessing.span)}"]
        if classes:
            found.append(f"{len(classes)} classes, {min(classes.values())} to {max(classes.values())} samples each")
        found.append(
            f"{samples.duplicates} copies, {samples.test_overlap} among the test samples, "
            f"{samples.constant_images} of one colour"
        )
        if ranges is not None:
            name, share = ranges.worst_growth
            found.append(f"the second half of the samples moved ranges by {share:.1%} at most ({name})")
            if ranges.worst_saturation is not None:
                name, share = ranges.worst_saturation
                found.append(f"{share:.3%} of {ranges.held_out} other samples' activations lie outside ({name})")
        return [*found, *self.remarks]

    def to_json(self) -> dict[str, Any]:
        """Values of JSON; the same data gives the same ones."""
        return {
            **self.samples.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "ranges": None if self.ranges is None else self.ranges.to_json(),
            "remarks": list(self.remarks),
        }

    def with_golden(self, calibration: Calibration, golden_inputs: NDArray[np.float32]) -> CalibrationAudit:
        """The audit with how many calibration samples are golden samples too: float32 (n, height, width, channels)."""
        return replace(self, samples=replace(self.samples, golden_overlap=overlap(calibration.inputs, golden_inputs)))


def audit_calibration(
    calibration: Calibration,
    preprocessing: Preprocessing,
    *,
    class_names: Sequence[str] = (),
    test_inputs: NDArray[np.float32] | None = None,
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
    graph: Callable[[], FloatGraph] | None = None,
) -> CalibrationAudit:
    """Audit calibration data; what needs no graph comes first.

    Args:
        calibration: the samples; labels and held-out samples make the audit say more.
        preprocessing: of the model.
        class_names: of the model, in the order of the labels.
        test_inputs: what accuracy is measured on, float32 (m, height, width, channels).
        predict: the float model, to compare other scalings of the inputs by.
        graph: makes the float graph whose ranges are set, called when nothing else refused the data.

    Raises:
        DataError: the samples cannot calibrate: too few, another shape, NaN, all the same, noise.
        ModelError: the graph computes NaN or infinity on them.
    """
    samples = audit_samples(calibration, preprocessing.image_shape, class_names, test_inputs)
    scale = audit_preprocessing(calibration, preprocessing, predict)
    return CalibrationAudit(samples, scale, audit_ranges(graph(), calibration) if graph else None)


def _span(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.4g}..{ends[1]:.4g}"
