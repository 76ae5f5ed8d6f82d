"""The samples of a fine-tuning, new and replayed, embedded, checked and split."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.samples import ReplaySamples
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_pass import embed
from edge_cnn.device.finetuning.embedding_store import CodeTable, CodeView, EmbeddingStore, digest_of
from edge_cnn.device.finetuning.input_floats import remark_on_floats
from edge_cnn.device.finetuning.sample_checks import (
    check_embeddings,
    first_of_equal,
    remark_on_absent,
    remark_on_split,
    row_digests,
    without_copies,
)
from edge_cnn.device.finetuning.samples import SplitSamples, check_labels, labels_among, split_samples
from edge_cnn.device.sample_source import SampleSource


@dataclass(frozen=True)
class FinetuneData:
    """All samples of a fine-tuning.

    Attributes:
        codes: embeddings of new and replayed ones.
        new, old: the samples to learn, and those of the old task.
        rows: int64 (n,), of the source, one for each of `new`.
        sha256: over digests and labels of the new ones, in their order.
        replay_sha256: of the old ones, None without any.
    """

    codes: CodeTable
    new: SplitSamples
    old: SplitSamples
    rows: NDArray[np.int64]
    sha256: str
    replay_sha256: str | None

    def training(self) -> tuple[CodeView, NDArray[np.int64], NDArray[np.bool_]]:
        """Embeddings, labels, and which are new; in the order of the samples, the new ones first.

        In this order they were embedded, so that a file is read in one go; where a cache holds them in another one,
        the sums of training must still be the same to the last bit.
        """
        new, old = np.sort(self.new.train), np.sort(self.old.train)
        at = np.concatenate([self.new.at[new], self.old.at[old]])
        labels = np.concatenate([self.new.labels[new], self.old.labels[old]])
        return CodeView(self.codes, at), labels, np.arange(len(at)) < len(new)

    def held_out(self) -> tuple[CodeView, NDArray[np.int64]]:
        """Embeddings and labels of what is held out, the new ones first."""
        at = np.concatenate([self.new.at[self.new.holdout], self.old.at[self.old.holdout]])
        labels = np.concatenate([self.new.labels[self.new.holdout], self.old.labels[self.old.holdout]])
        return CodeView(self.codes, at), labels

    def new_holdout(self) -> tuple[CodeView, NDArray[np.int64]]:
        """Embeddings and labels of the new ones that are held out."""
        chosen = self.new.holdout
        return CodeView(self.codes, self.new.at[chosen]), self.new.labels[chosen]

    def old_holdout(self) -> tuple[CodeView, NDArray[np.int64]]:
        """Embeddings and labels of the replayed ones that are held out."""
        chosen = self.old.holdout
        return CodeView(self.codes, self.old.at[chosen]), self.old.labels[chosen]

    def new_training(self) -> tuple[CodeView, NDArray[np.int64]]:
        """Embeddings and labels of the new ones that are trained on, shuffled."""
        chosen = self.new.train
        return CodeView(self.codes, self.new.at[chosen]), self.new.labels[chosen]


def gather(
    classifier: Classifier,
    embedder: Embedder,
    samples: SampleSource,
    replay: SampleSource | None,
    store: EmbeddingStore,
    holdout: float,
    batch: int,
    rng: np.random.Generator,
    on_batch: Callable[[int, int], None],
    on_remark: Callable[[str], None],
) -> FinetuneData:
    """Embed and split.

    Args:
        classifier: whose labels count.
        embedder: its backbone.
        samples: to be learned.
        replay: of the old task; None takes those stored in the bundle.
        store: keeps the embeddings.
        holdout: share of each class to hold out.
        batch: images that are read at once.
        rng: source of the split.
        on_batch: told (images done, images in all).
        on_remark: told what a person should know of the samples.

    Raises:
        DataError: the samples cannot be learned from.
    """
    names = classifier.labels
    labels = labels_among(samples, names)
    stored = None if replay is not None else stored_replay(classifier)
    has_replay = bool(len(replay)) if replay is not None else stored is not None
    check_labels(labels, names, has_replay=has_replay)
    remark_on_floats(samples, classifier.runtime.inputs[0], classifier.preprocessing, on_remark)
    total = len(samples) + (len(replay) if replay is not None else 0)
    embedded = embed(embedder, samples, store, batch, lambda done: on_batch(done, total))
    labels = labels[embedded.rows]
    kept = without_copies(embedded.digests, labels, names, lambda i: samples.name_of(int(embedded.rows[i])), on_remark)
    at, rows, labels = embedded.at[kept], embedded.rows[kept], labels[kept]
    check_labels(labels, names, has_replay=has_replay)
    check_embeddings(store.table, at, labels, on_remark)
    new = split_samples(at, labels, holdout, rng)
    remark_on_split(len(new.holdout), on_remark)
    if replay is not None:
        old = embed(embedder, replay, store, batch, lambda done: on_batch(len(samples) + done, total))
        old_at, old_labels = old.at, labels_among(replay, names)[old.rows]
    elif stored is not None:
        old_at, old_labels = _put(store, stored.embeddings[classifier.artifact.name]), stored.labels
    else:
        old_at = old_labels = np.empty(0, np.int64)
    remark_on_absent(np.concatenate([labels, old_labels]), names, on_remark)
    # A sample that was tuned with before may be held out now: training on its replayed twin would tell the answer. So
    # would a copy among the replayed ones themselves.
    unseen = first_of_equal(row_digests(store.table, old_at), row_digests(store.table, at))
    return FinetuneData(
        store.table,
        new,
        split_samples(old_at[unseen], old_labels[unseen], holdout, rng),
        rows,
        _fingerprint([embedded.digests[int(i)] for i in kept], labels, names),
        _fingerprint(row_digests(store.table, old_at), old_labels, names) if len(old_at) else None,
    )


def stored_replay(classifier: Classifier) -> ReplaySamples | None:
    """Embeddings of this artifact in its bundle, if there are any that this backbone gives."""
    bundle = classifier.bundle
    # Those of other preprocessing are not what it gives now.
    if bundle is None or bundle.manifest.preprocessing != classifier.preprocessing:
        return None
    replay = bundle.replay
    return (
        replay if replay is not None and classifier.artifact.name in replay.embeddings and len(replay.labels) else None
    )


def origin_of(classifier: Classifier) -> dict[str, Any]:
    """What embeddings depend on besides the image, for JSON."""
    return {
        "artifact": classifier.artifact.sha256,
        "runtime": f"{classifier.runtime.name} {classifier.runtime.version}",
        "kernels": classifier.runtime.kernels().family,
        "machine": platform.machine(),
        "preprocessing": None if classifier.preprocessing is None else classifier.preprocessing.to_json(),
    }


def _put(store: EmbeddingStore, codes: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of the store's table for embeddings that came without images."""
    digests = [digest_of(row) for row in codes]
    fresh: dict[bytes, int] = {}
    for i, digest in enumerate(digests):
        if store.find(digest) is None:
            fresh.setdefault(digest, i)
    if fresh:
        store.append(list(fresh), codes[list(fresh.values())])
    return np.array([store.find(digest) for digest in digests], np.int64)


def _fingerprint(digests: list[bytes], labels: NDArray[np.int64], class_names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr(class_names).encode())
    digest.update(b"".join(digests))
    digest.update(np.ascontiguousarray(labels, "<i8").tobytes())
    return digest.hexdigest()
