"""A classifier with other classes: its file resized, and what its bundle tells of classes brought in line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.samples import GoldenSamples, ReplaySamples
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.head.class_change import NEW, ClassChange, change_classes
from edge_cnn.device.head.surgery import resize_head
from edge_cnn.device.runtimes.table import open_runtime


def with_classes(classifier: Classifier, class_names: Sequence[str]) -> Classifier:
    """The same classifier with the classes `class_names`, in this order; it answers as before until it is tuned.

    Its bundle keeps this one artifact, the golden and the replayed samples of the classes that stay, and no golden
    outputs: those are recorded when it is tuned.

    Raises:
        InputError: the names make no classifier, or none of the old classes is among them.
        NoHeadError, ModelError: the file's last layer cannot be resized.
    """
    change = change_classes(classifier.labels, class_names)
    if change.is_none:
        return classifier
    resized = resize_head(classifier.artifact, change)
    runtime = open_runtime(resized, classifier.runtime.name, threads=classifier.threads)
    bundle = None
    if classifier.bundle is not None:
        bundle = _changed_bundle(classifier.bundle, classifier.labels, resized, runtime.outputs[0], change)
    return classifier.with_artifact(resized, runtime, bundle, change.labels)


def _changed_bundle(
    base: Bundle, old_labels: tuple[str, ...], resized: Artifact, output: TensorSpec, change: ClassChange
) -> Bundle:
    entry = replace(base.entry(resized.name), sha256=resized.sha256, output=output, host_accuracy=None)
    told = {
        "before": list(old_labels),
        "added": [change.labels[i] for i in change.added],
        "removed": [name for name in old_labels if name not in change.labels],
    }
    manifest = replace(
        base.manifest.with_artifacts(entry),
        labels=change.labels,
        host_accuracy=None,
        provenance=base.manifest.provenance | {"classes": told},
    )
    return Bundle(manifest, (resized,), _golden(base.golden, change), _replay(base.replay, resized.name, change))


def _golden(stored: GoldenSamples | None, change: ClassChange) -> GoldenSamples | None:
    if stored is None:
        return None
    labels = change.labels_after(stored.labels)
    stays = labels != NEW
    scores = change.rows(stored.float_outputs[stays].T, np.zeros(1, np.float32)).T
    return GoldenSamples(stored.inputs[stays], labels[stays], np.ascontiguousarray(scores, np.float32))


def _replay(stored: ReplaySamples | None, name: str, change: ClassChange) -> ReplaySamples | None:
    if stored is None or name not in stored.embeddings:
        return None
    labels = change.labels_after(stored.labels)
    stays = labels != NEW
    return ReplaySamples(labels[stays], {name: stored.embeddings[name][stays]})
