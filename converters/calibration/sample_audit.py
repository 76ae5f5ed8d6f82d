"""What the calibration samples are, by themselves: classes, copies, constants, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.samples import MIN_SAMPLES, Calibration
from edge_cnn.core.errors import DataError
from edge_cnn.core.named_few import some
from edge_cnn.core.sample_digests import content_hashes, overlap
from edge_cnn.host.image_noise import noise_statistic

FEW_SAMPLES = 100
"""With fewer, ranges still grow: said with how much they did."""
_SHARE_WORTH_SAYING = 0.05


@dataclass(frozen=True)
class SampleAudit:
    """Figures of the samples themselves.

    Attributes:
        samples: how many.
        class_counts: samples of each class, None where labels are not known.
        duplicates: samples that are copies of another one of them.
        test_overlap: samples that are test samples, bit for bit.
        golden_overlap: of those, how many are golden samples; None before they are chosen.
        constant_images: images of one colour.
        constant_channels: channels that have one value in all samples.
        neighbour_correlation: see `image_noise`; None where images are too small to judge.
        noisy_images: images like noise.
    """

    samples: int
    class_counts: dict[str, int] | None
    duplicates: int
    test_overlap: int
    golden_overlap: int | None
    constant_images: int
    constant_channels: tuple[int, ...]
    neighbour_correlation: float | None
    noisy_images: int

    @property
    def missing_classes(self) -> tuple[str, ...]:
        return tuple(name for name, count in (self.class_counts or {}).items() if not count)

    def remarks(self) -> list[str]:
        """What a person should know, a line each."""
        found: list[str] = []
        many = max(1, _SHARE_WORTH_SAYING * self.samples)
        if self.missing_classes:
            found.append(
                f"no calibration sample of {some(self.missing_classes)}: ranges may clip what only they have; "
                "give samples of every class"
            )
        if self.duplicates >= many:
            found.append(f"{self.duplicates} of {self.samples} calibration samples are copies of others")
        if self.test_overlap:
            found.append(
                f"{self.test_overlap} of {self.samples} calibration samples are test samples too: "
                "the measured accuracy flatters; part the data anew"
            )
        if self.constant_images >= many:
            found.append(f"{self.constant_images} of {self.samples} calibration images are of one colour")
        if self.constant_channels:
            which = ", ".join(map(str, self.constant_channels))
            found.append(f"channel {which} has one value in all calibration samples; check how images are read")
        if self.noisy_images >= many:
            found.append(f"{self.noisy_images} of {self.samples} calibration images look like noise")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "class_counts": self.class_counts,
            "missing_classes": list(self.missing_classes),
            "duplicates": self.duplicates,
            "test_overlap": self.test_overlap,
            "golden_overlap": self.golden_overlap,
            "constant_images": self.constant_images,
            "constant_channels": list(self.constant_channels),
            "neighbour_correlation": self.neighbour_correlation,
            "noisy_images": self.noisy_images,
        }


def audit_samples(
    calibration: Calibration,
    image_shape: tuple[int, int, int],
    class_names: Sequence[str] = (),
    test_inputs: NDArray[np.float32] | None = None,
) -> SampleAudit:
    """Look at the samples.

    Args:
        calibration: the samples.
        image_shape: (height, width, channels) of the model's input.
        class_names: of the model, in the order of the labels.
        test_inputs: what accuracy is measured on, float32 (m, height, width, channels).

    Raises:
        DataError: they cannot calibrate: too few, another shape, NaN, all the same, all of one colour, noise.
    """
    inputs = calibration.inputs
    if inputs.shape[1:] != image_shape:
        raise DataError(
            f"the calibration samples have shape {inputs.shape[1:]}, the model takes {image_shape}; "
            "resize them or give the data that the model was trained on"
        )
    if len(inputs) < MIN_SAMPLES:
        raise DataError(f"{len(inputs)} calibration samples are too few, at least {MIN_SAMPLES} are needed; give more")
    bad = np.flatnonzero(~np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1))
    if len(bad):
        raise DataError(
            f"{len(bad)} calibration samples hold NaN or infinity, the first is number {bad[0]}; clean the data"
        )
    if np.all(inputs == inputs[:1]):
        raise DataError(
            f"the {len(inputs)} calibration samples are all the same, so they say nothing of the ranges; give real data"
        )
    is_constant = (inputs == inputs[:, :1, :1]).all(axis=(1, 2, 3))
    if is_constant.all():
        raise DataError(
            f"each of the {len(inputs)} calibration images is of one colour, so they say nothing of the ranges; "
            "give real data"
        )
    noise = noise_statistic(inputs)
    if noise.is_noise:
        raise DataError(
            f"the calibration images look random: neighbouring pixels correlate by {noise.correlation:.2f}, those of "
            "real images by 0.4 to 1, so their ranges say nothing of real ones; give real data"
        )
    counts = None
    if calibration.labels is not None and class_names:
        of_class = np.bincount(calibration.labels, minlength=len(class_names))
        counts = {name: int(count) for name, count in zip(class_names, of_class, strict=True)}
    return SampleAudit(
        samples=len(inputs),
        class_counts=counts,
        duplicates=len(inputs) - len(set(content_hashes(inputs))),
        test_overlap=0 if test_inputs is None else overlap(inputs, test_inputs),
        golden_overlap=None,
        constant_images=int(is_constant.sum()),
        constant_channels=tuple(np.flatnonzero((inputs == inputs[0, 0, 0]).all(axis=(0, 1, 2))).tolist()),
        neighbour_correlation=None if noise.correlation is None else round(noise.correlation, 3),
        noisy_images=noise.noisy_images,
    )
