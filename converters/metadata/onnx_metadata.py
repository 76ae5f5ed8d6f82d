"""Write labels and preprocessing into an `.onnx` as `metadata_props`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.onnx.metadata import LABELS, PREPROCESSING

PRODUCER = "producer"


def add_onnx_metadata(model: bytes, *, labels: Sequence[str], preprocessing: Preprocessing, producer: str) -> bytes:
    """A copy of `model` with metadata.

    Args:
        model: the bytes of an `.onnx`.
        labels: class names, in the order of the output; stored as a JSON list.
        preprocessing: stored as JSON, mean and std in units of pixels.
        producer: what made the file.
    """
    import onnx

    proto = onnx.ModelProto.FromString(model)
    values = {
        LABELS: json.dumps(list(labels), ensure_ascii=False),
        PREPROCESSING: json.dumps(preprocessing.to_json(), sort_keys=True),
        PRODUCER: producer,
    }
    kept = [prop for prop in proto.metadata_props if prop.key not in values]
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)
    for key, value in values.items():
        proto.metadata_props.add(key=key, value=value)
    return proto.SerializeToString(deterministic=True)
