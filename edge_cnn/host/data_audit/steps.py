"""What was asked for against how much data there is."""

from __future__ import annotations

from collections.abc import Iterator

from edge_cnn.core.labelled_images import held_out
from edge_cnn.host.data_audit.case import Case
from edge_cnn.host.datasets.remark import Remark

_GOOD_STEPS = 10

_LEAST = 4
"""Samples of a batch, for batch normalization to know a mean and a deviation."""


def batch_size(case: Case) -> Iterator[Remark]:
    """A batch larger than the data: one step an epoch, whatever was asked for."""
    asked = case.config.batch_size
    samples = len(case.train) - held_out(case.train.labels, case.config.validation_share)
    if asked > samples:
        better = max(1, min(_LEAST, samples // 2), 1 << max(samples // _GOOD_STEPS, 1).bit_length() - 1)
        yield Remark(
            "batch size",
            f"batch size {asked} is more than the {samples} samples that are not held out for validation, so an epoch "
            f"is one step; --batch-size {better} makes {samples // better}",
        )
