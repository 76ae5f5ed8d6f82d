"""Equal images: all of them, under different labels, among each other, and on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.core.named_few import some
from edge_cnn.core.sample_digests import one_of_each
from edge_cnn.host.data_audit.case import SHOWN, Case
from edge_cnn.host.datasets.remark import Remark

_COPIES_WORTH_SAYING = 0.01


def all_equal(case: Case) -> Iterator[Remark]:
    """All training images are the same: no class can be told from another, so this is refused."""
    images = case.train.images
    if np.array_equal(images[0], images[-1]) and np.all(images == images[:1]):
        raise DataError(
            f"the {len(images)} training images are all the same, so nothing can be learned; check how they were saved"
        )
    yield from ()


def contradictions(case: Case) -> Iterator[Remark]:
    """Equal images with different labels: one of each pair is answered wrong whatever is learned.

    Where every training image is so, this is refused.
    """
    groups = [(rows, pair) for rows, tests in case.equal if len(pair := _pair(case, rows, tests)) > 1]
    if not groups or not case.classifies:
        return
    found = [pair for _, pair in groups]
    named = some([" = ".join(case.name(*place) for place in pair) for pair in found], 2)
    if sum(len(rows) for rows, _ in groups) == len(case.train):
        raise DataError(f"every training image is there under different labels, so nothing can be learned: {named}")
    yield Remark(
        "contradictions",
        f"{len(found)} image{' is' if len(found) == 1 else 's are'} there under different labels, one of which is "
        f"answered wrong whatever is learned; correct them: {named}",
        tuple(case.example(*place) for pair in found for place in pair)[:SHOWN],
    )


def copies(case: Case) -> Iterator[Remark]:
    """Copies within the training part weigh more than they should, and flatter the validation samples among them."""
    labels = case.train.labels
    extra = [row for rows, _ in case.equal for row in rows[1:] if labels[row] == labels[rows[0]] or not case.classifies]
    if len(extra) < max(1, _COPIES_WORTH_SAYING * len(case.train)):
        return
    yield Remark(
        "copies",
        f"{len(extra)} of {len(case.train)} training samples are copies of others: what is validated may have been "
        "trained on, and looks better than it is; drop them",
        tuple(case.example("train", row) for row in extra[:SHOWN]),
    )


def leak(case: Case) -> Iterator[Remark]:
    """Test samples that are training samples too: they are known by heart, and the test accuracy flatters."""
    known = [test for rows, tests in case.equal if rows for test in tests]
    if not known:
        return
    count = len(case.dataset.test)
    yield Remark(
        "leak",
        f"{len(known)} of {count} test samples are training samples too, so up to {len(known) / count:.1%} of the test "
        f"accuracy is memory; drop the copies: {some([case.name('test', row) for row in known], 3)}",
        tuple(case.example("test", row) for row in known[:SHOWN]),
    )


def _pair(case: Case, rows: list[int], tests: list[int]) -> list[tuple[str, int]]:
    """The first place of an image under each of its labels."""
    labels = np.concatenate([case.train.labels[rows], case.dataset.test.labels[tests]])
    places = [("train", row) for row in rows] + [("test", row) for row in tests]
    return [places[index] for index in one_of_each(range(len(places)), labels)]
