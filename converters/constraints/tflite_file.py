"""What rules on `.tflite` files read them with."""

from __future__ import annotations

from typing import Any

from edge_cnn.core.artifact import Artifact


def tflite_model(artifact: Artifact) -> Any:
    """The file as the schema's `ModelT`."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(artifact.data, 0)


def type_name(code: int) -> str:
    """A tensor type's name in the schema, in small letters."""
    from ai_edge_litert import schema_py_generated as schema

    return next((name.lower() for name, value in vars(schema.TensorType).items() if value == code), str(code))


def text(value: Any) -> str:
    """A name in the file, which may be bytes or absent."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
