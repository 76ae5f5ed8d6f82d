"""Weights of an `.onnx` in files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from edge_cnn.core.artifact import MAX_MODEL_BYTES
from edge_cnn.core.errors import ModelError


def load_external_data(model: Any, path: Path) -> None:
    """Read the tensors of `model`, an onnx.ModelProto from `path`, that lie in other files of its folder; in place.

    Raises:
        ModelError: a file is missing, too short, or not in the folder of the model: a model must not make this program
            read what else lies on the machine.
    """
    import onnx

    total = 0
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        about = {entry.key: entry.value for entry in tensor.external_data}
        file = _inside(path, about.get("location", ""))
        try:
            offset, length = int(about.get("offset", 0)), int(about.get("length", -1))
            size = file.stat().st_size
        except ValueError:
            raise ModelError(f"{path} is damaged: the place of weights {tensor.name!r} is no number") from None
        except OSError as error:
            raise ModelError(
                f"{path} keeps weights in {file.name}, which cannot be read: {error.strerror}; copy it beside the model"
            ) from None
        length = size - offset if length < 0 else length
        total += length
        if offset < 0 or offset + length > size or total > MAX_MODEL_BYTES:
            raise ModelError(
                f"{path} wants bytes {offset}..{offset + length} of {file.name}, which has {size}; copy both again"
            )
        with open(file, "rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _inside(path: Path, location: str) -> Path:
    """The file at `location`, a path relative to the folder of `path`."""
    parts = PurePosixPath(location).parts
    escapes = PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive or ".." in parts or not parts
    folder = path.parent.resolve()
    file = folder / location
    # A link may lead out as well as a name.
    if escapes or not file.resolve().is_relative_to(folder):
        raise ModelError(
            f"{path} keeps weights at {location!r}, outside its folder; put them beside it and save it again"
        )
    return file


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for inner in attribute.graphs:
                yield from _tensors(inner)
