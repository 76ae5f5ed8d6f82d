"""What a Keras configuration may ask for: Keras's own layers, of a size that a memory holds, and no code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import ModelError

_MAX_WIDTH = 2**20
"""Units or filters of one layer; a classifier of a million classes is none for a device."""

_MAX_INPUT = 2**26
_OWN = ("keras", "tf_keras", "tensorflow", "builtins")


def check_config(config: Any, path: Path) -> None:
    """Raises: ModelError: a Lambda layer, a class from a module that is not Keras's, or an absurd size."""
    for value in _objects(config):
        kind, inner = value.get("class_name"), value.get("config")
        name = inner.get("name", kind) if isinstance(inner, dict) else kind
        if kind == "Lambda" or (kind == "__lambda__"):
            raise ModelError(
                f"{path} has the Lambda layer {name!r}: its Python code is not run, as a file may come from anybody; "
                "replace it by layers of Keras, or export a SavedModel"
            )
        module = value.get("module")
        if isinstance(module, str) and kind is not None and module.split(".")[0] not in _OWN:
            raise ModelError(
                f"{path} has {name!r} of the class {kind} from the module {module!r}, which is not Keras's own; "
                "export a SavedModel, which needs no classes"
            )
        if isinstance(inner, dict):
            _check_sizes(inner, name, path)


def _check_sizes(config: dict[str, Any], name: Any, path: Path) -> None:
    for key in ("units", "filters", "input_dim", "output_dim"):
        width = config.get(key)
        if isinstance(width, (int, float)) and width > _MAX_WIDTH:
            raise ModelError(f"{path} claims {key} {width} for layer {name!r}, more than {_MAX_WIDTH}; save it again")
    for key in ("batch_shape", "batch_input_shape"):
        shape = config.get(key)
        if isinstance(shape, list):
            sizes = [size for size in shape[1:] if isinstance(size, (int, float))]
            if math.prod(sizes) > _MAX_INPUT:
                raise ModelError(f"{path} claims inputs of shape {shape}, more than {_MAX_INPUT} values; save it again")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object within `value`."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
