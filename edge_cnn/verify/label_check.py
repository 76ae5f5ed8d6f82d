"""Whether a file and its manifest name the classes alike."""

from __future__ import annotations

from edge_cnn.core.artifact import ONNX, Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.manifest import Manifest


def label_fault(manifest: Manifest, artifact: Artifact) -> str | None:
    """Where the file's own metadata has the manifest's labels in another order, if it does.

    The golden samples know classes by number, so that names in the wrong order would pass every comparison. A file
    without labels, or with other names, says nothing about the order; of a damaged one the runtime will tell.
    """
    labels = _labels(artifact)
    if labels is None or labels == manifest.labels or sorted(labels) != sorted(manifest.labels):
        return None
    index = next(i for i, (own, told) in enumerate(zip(labels, manifest.labels, strict=True)) if own != told)
    return (
        f"class {index} is {labels[index]!r} in the file's metadata and {manifest.labels[index]!r} in the manifest, "
        "so one of them has the labels in the wrong order; export the bundle again"
    )


def _labels(artifact: Artifact) -> tuple[str, ...] | None:
    try:
        if artifact.format == ONNX:
            from edge_cnn.device.onnx.metadata import read_onnx_metadata

            return read_onnx_metadata(artifact)[0]
        from edge_cnn.device.tflite.metadata import read_tflite_metadata

        return read_tflite_metadata(artifact)[0]
    except ModelError:
        return None
