"""Labels and preprocessing that an `.onnx` file carries in its metadata_props."""

from __future__ import annotations

import json
from typing import Any, cast

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DataError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.onnx.file import read_onnx_properties

LABELS, PREPROCESSING = "edge_cnn.labels", "edge_cnn.preprocessing"
"""A JSON list of class names, and `Preprocessing.to_json` as JSON."""


def read_onnx_metadata(artifact: Artifact) -> tuple[tuple[str, ...] | None, Preprocessing | None]:
    """Labels and preprocessing, None for what the file does not carry or carries in another form.

    Raises:
        ModelError: the file is damaged.
    """
    properties = read_onnx_properties(artifact)
    return _labels(_parse(properties.get(LABELS))), _preprocessing(_parse(properties.get(PREPROCESSING)))


def _parse(text: str | None) -> Any:
    """The JSON value in `text`; None for anything else, since the file may come from any program."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _labels(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not value:
        return None
    labels = cast("list[object]", value)
    return tuple(str(label) for label in labels) if all(isinstance(label, str) for label in labels) else None


def _preprocessing(value: Any) -> Preprocessing | None:
    try:
        preprocessing = Preprocessing.from_json(value)
    except (DataError, ValueError, KeyError, TypeError, OverflowError):
        return None
    sizes = (preprocessing.height, preprocessing.width)
    return preprocessing if min(sizes) > 0 and preprocessing.channels in (1, 3) else None
