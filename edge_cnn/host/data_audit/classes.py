"""Names of classes, and how many samples they have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.core.named_few import some
from edge_cnn.host.data_audit.case import Case
from edge_cnn.host.datasets.remark import Remark

FEW = 10
"""Fewer samples of a class than this are too few to learn it by, and to say how well it is known."""

_IMBALANCE = 10


def names(case: Case) -> Iterator[Remark]:
    """Names that no file of labels can hold are refused; those that look alike are told."""
    for name in case.class_names:
        if not name.strip() or not name.isprintable():
            raise DataError(f"class name {name!r} is empty, or holds what cannot be printed; rename it")
    seen: dict[str, str] = {}
    for name in case.class_names:
        other = seen.setdefault(name.strip().casefold(), name)
        if other != name:
            yield Remark("class names", f"classes {other!r} and {name!r} differ in case or spaces only; are they one?")


def absent(case: Case) -> Iterator[Remark]:
    """A class without a sample is refused: its output would be trained towards never."""
    trained = np.bincount(case.train.labels, minlength=len(case.class_names))
    missing = [name for name, count in zip(case.class_names, trained, strict=True) if not count]
    if missing:
        raise DataError(
            f"no sample of class {some(missing)}{'' if case.counts[trained == 0].sum() == 0 else ' to train on'}; "
            "add some, or drop the class"
        )
    if trained.max() < 2:
        raise DataError(
            "no class has three samples, one each to train, to validate and to test; give at least three of a class"
        )
    yield from ()


def few(case: Case) -> Iterator[Remark]:
    """Classes of fewer than ten samples, test part and all."""
    counts = case.counts
    small = [f"{name} {count}" for name, count in zip(case.class_names, counts, strict=True) if count < FEW]
    if small and case.classifies:
        yield Remark(
            "few samples",
            f"fewer than {FEW} samples of {len(small)} of {len(counts)} classes ({some(small)}): what is learned of "
            "them, and measured, depends on chance; give more",
        )


def imbalance(case: Case) -> Iterator[Remark]:
    """Classes of very different sizes: a network learns the large ones first, and may never answer the small ones."""
    counts = case.counts
    most, least = int(counts.argmax()), int(counts.argmin())
    if not case.classifies or case.config.class_weights or counts[most] < _IMBALANCE * counts[least]:
        return
    yield Remark(
        "imbalance",
        f"class {case.class_names[most]!r} has {counts[most]} samples, {case.class_names[least]!r} {counts[least]}: "
        f"always answering {case.class_names[most]!r} would be right {counts[most] / counts.sum():.0%} of the time; "
        "with --class-weights balanced rare classes weigh as much",
    )
