"""What is wrong with samples, told before anything is learned from them: copies, contradictions, blank images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.sample_digests import one_of_each
from edge_cnn.device.finetuning.embedding_store import CodeTable, CodeView, digest_of
from edge_cnn.device.training.linear_probe import PredictedGain
from edge_cnn.device.training.standardization import block_rows

MOST_NAMED = 3

FEW_HELD_OUT = 30
"""Of fewer held-out samples one answer is more than three points."""


def without_copies(
    digests: Sequence[bytes],
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    name_of: Callable[[int], str],
    on_remark: Callable[[str], None],
) -> NDArray[np.int64]:
    """Which samples to use: of equal images with one label the first, of equal images with different labels none.

    A copy on both sides of the split would tell the held-out answer, and which of two labels is right nobody knows.

    Args:
        digests: of the images, one a sample.
        labels: int64 (n,).
        class_names: of the labels.
        name_of: what a person knows a sample by.
        on_remark: told what is left out and why.

    Raises:
        DataError: nothing is left.
    """
    groups: dict[bytes, list[int]] = {}
    for row, digest in enumerate(digests):
        groups.setdefault(digest, []).append(row)
    kept: list[int] = []
    contradicting: list[list[int]] = []
    copies = 0
    for rows in groups.values():
        if len({int(labels[row]) for row in rows}) > 1:
            contradicting.append(rows)
        else:
            kept.append(rows[0])
            copies += len(rows) - 1
    if copies:
        on_remark(f"left out {_count(copies, 'sample')}: copies of images that are there with the same label")
    if contradicting:
        named = "; ".join(
            " and ".join(
                f"{name_of(row)} ({class_names[int(labels[row])]})" for row in one_of_each(rows, labels)[:MOST_NAMED]
            )
            for rows in contradicting[:MOST_NAMED]
        )
        more = len(contradicting) - MOST_NAMED
        named += f"; and {more} more" if more > 0 else ""
        count = _count(sum(map(len, contradicting)), "sample")
        if not kept:
            raise DataError(f"every image is there under different labels: {named}; correct the labels")
        on_remark(f"left out {count}: equal images under different labels, correct them: {named}")
    return np.sort(np.array(kept, np.int64))


def check_embeddings(
    codes: CodeTable,
    at: NDArray[np.int64],
    labels: NDArray[np.int64],
    on_remark: Callable[[str], None],
) -> None:
    """Can the last layer tell these samples apart at all?

    Args:
        codes: the table of embeddings.
        at: int64 (n,), rows of it.
        labels: int64 (n,).
        on_remark: told how many samples have the embedding of one with another label.

    Raises:
        DataError: all embeddings are equal.
    """
    labels_of: dict[bytes, set[int]] = {}
    seen = row_digests(codes, at)
    for digest, label in zip(seen, labels, strict=True):
        labels_of.setdefault(digest, set()).add(int(label))
    if len(labels_of) == 1 and len(at) > 1:
        raise DataError(
            f"the model's backbone gives one and the same embedding for all {len(at)} samples; are the images "
            "blank, or is the input range wrong (--input-range)?"
        )
    mixed = sum(len(labels_of[digest]) > 1 for digest in seen)
    if mixed:
        on_remark(
            f"{_count(mixed, 'sample')} of {len(at)} look to the backbone exactly like one with another label; the "
            "last layer cannot tell them apart"
        )


def first_of_equal(digests: Sequence[bytes], known: Iterable[bytes] = ()) -> NDArray[np.bool_]:
    """Which of `digests` are neither among `known` nor have an equal before them: bool (n,)."""
    seen = set(known)
    fresh = np.zeros(len(digests), np.bool_)
    for row, digest in enumerate(digests):
        fresh[row] = digest not in seen
        seen.add(digest)
    return fresh


def row_digests(codes: CodeTable, at: NDArray[np.int64]) -> list[bytes]:
    """A digest of each of the rows `at`; equal rows have equal ones."""
    view, step = CodeView(codes, at), block_rows(codes.shape[1])
    return [digest_of(row) for start in range(0, len(at), step) for row in view[start : start + step]]


def remark_on_split(held_out: int, on_remark: Callable[[str], None]) -> None:
    """Say how much one held-out answer weighs where there are few."""
    if held_out < FEW_HELD_OUT:
        on_remark(
            f"only {_count(held_out, 'new sample')} could be held out, one answer is {100 / held_out:.0f} points of "
            "the accuracy below; give more samples, or a larger --holdout"
        )


def remark_on_absent(labels: NDArray[np.int64], class_names: tuple[str, ...], on_remark: Callable[[str], None]) -> None:
    """Say which classes have no sample among `labels`, new and old ones together."""
    there = {int(label) for label in np.unique(labels)}
    absent = [name for index, name in enumerate(class_names) if index not in there]
    if absent:
        named = ", ".join(absent[:MOST_NAMED])
        more = len(absent) - MOST_NAMED
        on_remark(
            f"no sample, new or old, of {len(absent)} of {len(class_names)} classes ({named}"
            f"{f' and {more} more' if more > 0 else ''}); what the model knows of them may be forgotten"
        )


def remark_on_guessing(
    predicted: PredictedGain,
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    on_remark: Callable[[str], None],
) -> None:
    """Say where neither the model nor a probe does better than to answer the most frequent class, always.

    Better by less than one standard error of a share of so many samples is no better.

    Args:
        predicted: what both answer right.
        labels: int64 (n,), of the new samples.
        class_names: of the labels.
        on_remark: told.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or not predicted.judged:
        return
    share = int(counts.max()) / len(labels)
    if max(predicted.accuracy, predicted.before) > share + (share * (1 - share) / predicted.judged) ** 0.5:
        return
    often = class_names[int(classes[counts.argmax()])]
    on_remark(
        f"the labels look random to the backbone: a probe answers {100 * predicted.accuracy:.1f} % right, always "
        f"answering {often!r} would be right {100 * share:.1f} % of the time; check the labels and the input range"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
