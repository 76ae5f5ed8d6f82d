"""One model file as bytes, in the format that a light runtime loads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from edge_cnn.core.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

TFLITE = "tflite"
ONNX = "onnx"

MAX_MODEL_BYTES = 2**31 - 1
"""Both formats address their content with 32-bit signed sizes."""


@dataclass(frozen=True)
class Artifact:
    """A `.tflite` or `.onnx` file.

    Attributes:
        name: file name, for messages and for the bundle, for example "model.tflite".
        format: "tflite" or "onnx".
        data: the bytes of the file.
    """

    name: str
    format: str
    data: bytes

    @cached_property
    def sha256(self) -> str:
        import hashlib

        return hashlib.sha256(self.data).hexdigest()


def read_artifact(path: str | Path) -> Artifact:
    """Read a `.tflite` or `.onnx` file; the format is told by the content where it can be, by the suffix elsewhere.

    Raises:
        ModelError: the file is missing, empty, a Git LFS pointer or not of these formats.
    """
    try:
        size = os.stat(path).st_size
        if size > MAX_MODEL_BYTES:
            raise ModelError(f"{path}: {size} bytes is more than a .tflite or .onnx file can hold; is it a model?")
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise ModelError(f"no model at {path}; give a .tflite, .onnx or .edgecnn file") from None
    except IsADirectoryError:
        raise ModelError(f"{path} is a folder; give a .tflite, .onnx or .edgecnn file") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    name = os.path.basename(path)
    return Artifact(name, detect_format(data, name), data)


def detect_format(data: bytes, name: str) -> str:
    """Tell "tflite" from "onnx".

    Raises:
        ModelError: neither.
    """
    suffix = os.path.splitext(name)[1].lower()
    if not data:
        raise ModelError(f"{name} is empty; was the copy interrupted?")
    if data.startswith(b"version https://git-lfs"):
        raise ModelError(f"{name} is a Git LFS pointer, not the model; run 'git lfs pull'")
    if data[4:8] == b"TFL3":
        return TFLITE
    # ModelProto starts with ir_version, field 1 as a varint, in every writer seen; no other mark exists.
    if suffix == ".onnx" and data[:1] == b"\x08":
        return ONNX
    if suffix == ".tflite":
        raise ModelError(f"{name} is not a TFLite file: the mark TFL3 is missing; export it again or copy it again")
    if suffix == ".onnx":
        raise ModelError(f"{name} is not an ONNX file; export it again or copy it again")
    if suffix in (".keras", ".h5", ".hdf5"):
        raise ModelError(
            f"{name} is a Keras file, and device-side commands take .tflite, .onnx and .edgecnn; "
            "convert it with 'edge-cnn export' first"
        )
    raise ModelError(f"{name} is neither .tflite, .onnx nor .edgecnn; device-side commands take these three")
