"""A tuned artifact as a classifier again, in a bundle whose golden samples and replay embeddings fit the new head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.samples import GoldenSamples, ReplaySamples
from edge_cnn.core.tolerance import computes_of, default_tolerances
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_store import CodeTable
from edge_cnn.device.finetuning.sample_checks import first_of_equal
from edge_cnn.device.head.softmax_head import SoftmaxHead, softmax
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime, reference_runtime

NEW_REPLAY_PER_CLASS = 30
"""New embeddings a class that a tuned bundle keeps for the next fine-tuning."""


def remember(codes: CodeTable, labels: NDArray[np.int64], name: str) -> ReplaySamples:
    """The first few samples of each class, for the fine-tuning after this one.

    Args:
        codes: embeddings (n, features) by the artifact's backbone.
        labels: int64 (n,).
        name: of the artifact.
    """
    first = [np.flatnonzero(labels == label)[:NEW_REPLAY_PER_CLASS] for label in np.unique(labels)]
    chosen = np.concatenate(first)
    return ReplaySamples(labels[chosen], {name: codes[chosen]})


def reopen_tuned(
    classifier: Classifier,
    merged: Artifact,
    head: SoftmaxHead,
    embedder: Embedder,
    new: ReplaySamples,
    provenance: dict[str, Any],
) -> Classifier:
    """Open `merged` as `classifier` was opened.

    A bundle keeps this one artifact only: the others still have the old head. Its golden outputs are recorded anew from
    the reference kernels here, its float outputs come from the float head on the golden embeddings.

    Args:
        classifier: the original.
        merged: its artifact with the new head.
        head: the new head, for raw real embeddings.
        embedder: the backbone, which fine-tuning left alone.
        new: labels and embedding codes of training samples to keep (`remember`).
        provenance: what the manifest tells of this fine-tuning.
    """
    runtime = open_runtime(merged, classifier.runtime.name, threads=classifier.threads)
    bundle = None
    if classifier.bundle is not None:
        bundle = _tuned_bundle(classifier.bundle, classifier.preprocessing, merged, head, embedder, new, provenance)
    return classifier.with_artifact(merged, runtime, bundle)


def _tuned_bundle(
    base: Bundle,
    preprocessing: Preprocessing | None,
    merged: Artifact,
    head: SoftmaxHead,
    embedder: Embedder,
    new: ReplaySamples,
    provenance: dict[str, Any],
) -> Bundle:
    reference = open_runtime(merged, reference_runtime(merged.format))
    entry = replace(
        base.entry(merged.name),
        sha256=merged.sha256,
        output=reference.outputs[0],
        tolerances=default_tolerances(
            merged.format,
            quantized=embedder.split.info.logits.quantization is not None,
            recorded_by=reference.kernels().family,
            computes=computes_of(base.entry(merged.name).tolerances),
        ),
        host_accuracy=None,
    )
    # --input-range may have overridden what the base says, and the new head was trained with that.
    preprocessing = preprocessing or base.manifest.preprocessing
    manifest = replace(
        base.manifest.with_artifacts(entry),
        preprocessing=preprocessing,
        host_accuracy=None,
        provenance=base.manifest.provenance | {"finetuned": provenance},
    )
    golden = None
    if base.golden is not None:
        inputs = to_model_input(base.golden.inputs, preprocessing, reference.inputs[0])
        logits = open_runtime(split_head(merged).logits_view, reference_runtime(merged.format))
        embeddings = embedder.to_real(embedder.codes(base.golden.inputs))
        golden = GoldenSamples(
            base.golden.inputs,
            base.golden.labels,
            softmax(head.logits(embeddings)).astype(np.float32),
            {merged.name: reference.run((inputs,))[0]},
            {merged.name: logits.run((inputs,))[0]},
        )
    return Bundle(
        manifest,
        (merged,),
        golden,
        _extended(base.replay if preprocessing == base.manifest.preprocessing else None, merged.name, new),
    )


def _extended(stored: ReplaySamples | None, name: str, new: ReplaySamples) -> ReplaySamples:
    """Stored embeddings and the new ones that are not among them, each once."""
    labels, codes = new.labels, new.embeddings[name]
    if stored is None or name not in stored.embeddings:
        fresh = first_of_equal([row.tobytes() for row in codes])
        return ReplaySamples(labels[fresh], {name: codes[fresh]})
    # A sample that was tuned with before is there already.
    fresh = first_of_equal([row.tobytes() for row in codes], (row.tobytes() for row in stored.embeddings[name]))
    return ReplaySamples(
        np.concatenate([stored.labels, labels[fresh]]),
        {name: np.concatenate([stored.embeddings[name], codes[fresh]])},
    )
