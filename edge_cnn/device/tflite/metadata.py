"""Labels and normalization that a `.tflite` file carries as standard metadata (metadata_schema.fbs, identifier M001).

The metadata is a FlatBuffer in the buffer that the entry "TFLITE_METADATA" names; label files are members of a ZIP
archive behind the model. Whatever is malformed there is left out: the model runs without it. The numbers below are
field positions of the public schema.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.model_input import image_shape
from edge_cnn.device.tflite.file import TfliteModel, read_tflite
from edge_cnn.device.tflite.flatbuffer import Table, read_root

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""(mean, std), one value or one a channel, in units of the pixel range 0..255."""

ENTRY = "TFLITE_METADATA"
METADATA_IDENTIFIER = b"M001"
TENSOR_AXIS_LABELS = 2
_NORMALIZATION_OPTIONS = 1

MAX_LABEL_BYTES = 4 * 2**20
"""The 21,841 class names of ImageNet take less than 1 MB."""

MAX_MEMBERS = 256


def read_tflite_metadata(artifact: Artifact) -> tuple[tuple[str, ...] | None, Normalization | None]:
    """Labels of output 0 and normalization of input 0, None for what the file does not carry or carries malformed.

    Raises:
        ModelError: the model itself is damaged.
    """
    model = read_tflite(artifact)
    try:
        subgraph = _subgraph_metadata(model)
    except ModelError:
        subgraph = None
    if subgraph is None:
        return None, None
    return _labels(artifact, subgraph), _normalization(subgraph, model.inputs[0]) if model.inputs else None


def label_file_names(model: TfliteModel) -> tuple[str, ...]:
    """Names in the archive of the label files of output 0; none where the metadata names none or is malformed."""
    try:
        subgraph = _subgraph_metadata(model)
        return tuple(_label_files(subgraph)) if subgraph is not None else ()
    except ModelError:
        return ()


def _subgraph_metadata(model: TfliteModel) -> Table | None:
    for name, buffer in model.metadata:
        span = model.buffers[buffer]
        if name == ENTRY and span is not None:
            subgraphs = read_root(model.data[span[0] : span[1]], METADATA_IDENTIFIER).tables(3)
            return subgraphs[0] if subgraphs else None
    return None


def _normalization(subgraph: Table, spec: TensorSpec) -> Normalization | None:
    """Of the first process unit of this kind; one that does not fit the channels of the input is no use."""
    try:
        for tensor in subgraph.tables(2)[:1]:
            for unit in tensor.tables(4):
                options = unit.table(1) if unit.scalar(0, "<B") == _NORMALIZATION_OPTIONS else None
                if options is None:
                    continue
                mean, std = (options.vector(i, "<f4") for i in (0, 1))
                # Raises for an input that is no image, which has no use for a normalization of pixels.
                channels = image_shape(spec)[2]
                if mean is None or std is None or not {len(mean), len(std)} <= {1, channels}:
                    return None
                values = np.concatenate([mean.array(), std.array()])
                if not np.isfinite(values).all() or not (std.array() > 0).all():
                    return None
                return tuple(mean.array().tolist()), tuple(std.array().tolist())
    except ModelError:
        pass  # As the module says: a model with malformed metadata is a model without.
    return None


def _labels(artifact: Artifact, subgraph: Table) -> tuple[str, ...] | None:
    try:
        names = list(_label_files(subgraph))
    except ModelError:
        return None
    if not names:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(artifact.data)) as archive:
            if len(archive.infolist()) > MAX_MEMBERS or names[0] not in archive.namelist():
                return None
            with archive.open(names[0]) as member:
                content = member.read(MAX_LABEL_BYTES + 1)
        if len(content) > MAX_LABEL_BYTES:
            return None
        lines = content.decode("utf-8-sig").split("\n")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        return None
    labels = [line.removesuffix("\r") for line in lines]
    while labels and not labels[-1].strip():
        labels.pop()
    return tuple(labels) or None


def _label_files(subgraph: Table) -> Iterator[str]:
    """Names of the label files of the first output, those without a language first."""
    files = [file for tensor in subgraph.tables(3)[:1] for file in tensor.tables(6)]
    labels = [file for file in files if file.scalar(2, "<b") == TENSOR_AXIS_LABELS]
    for file in sorted(labels, key=lambda file: file.text(3) != ""):
        yield file.text(0)
