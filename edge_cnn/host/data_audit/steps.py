"""What was asked for against how much data there is."""

from __future__ import annotations

from collections.abc import Iterator

from edge_cnn.core.labelled_images import held_out
from edge_cnn.host.data_audit.case import Case
from edge_cnn.host.datasets.remark import Remark

_GOOD_STEPS = 10


def batch_size(case: Case) -> Iterator[Remark]:
    """A batch larger than the data: one step an epoch, whatever was asked for."""
    asked = case.config.batch_size
    samples = len(case.train) - held_out(case.train.labels, case.config.validation_share)
    if asked > samples:
        better = max(1, 1 << (samples // _GOOD_STEPS).bit_length() - 1) if samples >= _GOOD_STEPS else 1
        yield Remark(
            "batch size",
            f"batch size {asked} is more than the {samples} samples that are not held out for validation, so an epoch "
            f"is one step; --batch-size {better} makes {samples // better}",
        )
