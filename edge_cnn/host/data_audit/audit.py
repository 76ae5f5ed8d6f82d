"""The audit: one function a finding, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from edge_cnn.core.errors import DataError
from edge_cnn.host.data_audit.case import Case
from edge_cnn.host.data_audit.classes import absent, few, imbalance, names
from edge_cnn.host.data_audit.constants import channels, noise, one_colour
from edge_cnn.host.data_audit.copies import all_equal, contradictions, copies, leak
from edge_cnn.host.data_audit.scale import float_inputs, narrow_pixels
from edge_cnn.host.data_audit.steps import batch_size
from edge_cnn.host.datasets import Dataset
from edge_cnn.host.datasets.remark import Remark
from edge_cnn.host.training.config import TrainConfig

FINDINGS: tuple[Callable[[Case], Iterator[Remark]], ...] = (
    names,
    absent,
    all_equal,
    contradictions,
    leak,
    copies,
    one_colour,
    noise,
    channels,
    float_inputs,
    narrow_pixels,
    imbalance,
    few,
    batch_size,
)
"""Each gives remarks, or raises `DataError` where nothing could be learned."""


def audit(dataset: Dataset, config: TrainConfig) -> tuple[Remark, ...]:
    """Look at data before it is trained on; takes well under a second for 60,000 small images.

    Args:
        dataset: both parts.
        config: how it is going to be trained on.

    Raises:
        DataError: nothing could be learned from it; the parts do not fit each other.
    """
    if dataset.train.images.ndim != 4:
        raise DataError(
            f"samples have shape {dataset.train.images.shape}, not (n, height, width, channels); reshape them, gray "
            "images as x[..., None] and rows of numbers as x.reshape(len(x), 1, 1, -1)"
        )
    case = Case(dataset, config)
    return tuple(remark for find in FINDINGS for remark in find(case))


def audited(dataset: Dataset, config: TrainConfig) -> Dataset:
    """The data with what the audit says of it. Raises: DataError: as `audit`."""
    return replace(dataset, remarks=(*dataset.remarks, *audit(dataset, config)))
