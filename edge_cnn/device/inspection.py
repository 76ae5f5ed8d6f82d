"""What is inside a model file: ops and versions, tensors, head, size, and which runtimes here run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.onnx.file import op_versions as onnx_op_versions
from edge_cnn.device.onnx.file import read_onnx
from edge_cnn.device.runtimes.release import parse_release, problems
from edge_cnn.device.runtimes.runtime_check import check_runtimes
from edge_cnn.device.tflite.file import op_versions as tflite_op_versions
from edge_cnn.device.tflite.file import read_tflite

_READERS = {TFLITE: read_tflite, ONNX: read_onnx}
_OP_VERSIONS = {TFLITE: tflite_op_versions, ONNX: onnx_op_versions}


def inspect_artifact(artifact: Artifact, releases: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON document: format, bytes, sha256, inputs, outputs, ops, head, runtimes, preflight.

    Args:
        artifact: a model file.
        releases: runtimes that need not be here, as "tflite-runtime==2.14.0"; those for other formats are left out.

    Raises:
        ModelError: the file is damaged.
        InputError: a release that is not known.
    """
    asked = {name: parse_release(name) for name in releases}
    file = _READERS[artifact.format](artifact)
    try:
        head = split_head(artifact).info.to_json()
        no_head = None
    # The file was read whole above, so what is left is a head that is missing or of a kind that surgery does not know.
    except ModelError as error:
        head, no_head = None, str(error)
    return {
        "name": artifact.name,
        "format": artifact.format,
        "bytes": len(artifact.data),
        "sha256": artifact.sha256,
        "inputs": [spec.to_json() for spec in file.inputs],
        "outputs": [spec.to_json() for spec in file.outputs],
        "ops": [
            {"name": name, "version": version, "count": count}
            for name, version, count in _OP_VERSIONS[artifact.format](artifact)
        ],
        "head": head,
        "no_head_reason": no_head,
        "runtimes": check_runtimes(artifact),
        "preflight": {
            name: problems(artifact, release) for name, release in asked.items() if release.format == artifact.format
        },
    }
