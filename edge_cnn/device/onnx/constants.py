"""Write new values into the constants of an `.onnx` file; nothing else in the file changes.

A constant that other nodes read too (exporters like to store equal zero points once) is left alone, and the nodes in
question get one of their own: that alone makes the file longer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from edge_cnn.core.errors import ModelError
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.protobuf_wire import Span, encode_delimited, encode_text, rewrite
from edge_cnn.device.onnx.tensor import encode_tensor

_NODE_INPUT, _INITIALIZER = 1, 5
_CONSTANTS_ARE_INPUTS = 4
"""Below this IR version every initializer must be listed as a graph input too."""


@dataclass(frozen=True)
class Slot:
    """An input of a node that reads a constant, and what it is to read, in the constant's dtype."""

    node: Node
    index: int
    values: NDArray[Any]


def write_constants(model: OnnxModel, slots: list[Slot]) -> bytes:
    """The file with each slot reading its new values. Raises: ModelError: as `constant_edits`."""
    return rewrite(model.data, constant_edits(model, slots))


def constant_edits(model: OnnxModel, slots: list[Slot]) -> dict[Span, bytes]:
    """What `protobuf_wire.rewrite` needs to let each slot read its new values.

    Values of another shape than the constant's take its place as a new initializer.

    Raises:
        ModelError: a constant is shared with another node and the file is too old to give each its own.
    """
    by_constant: defaultdict[str, dict[bytes, list[Slot]]] = defaultdict(dict)
    for slot in slots:
        versions = by_constant[slot.node.input(slot.index)]
        versions.setdefault(slot.values.tobytes(), []).append(slot)
    edits: dict[Span, bytes] = {}
    for name, versions in by_constant.items():
        constant = model.constants[name]
        current = constant.tensor.values()
        if list(versions) == [current.tobytes()]:
            continue
        others = _other_users(model, name, [slot for group in versions.values() for slot in group])
        if len(versions) == 1 and not others:
            ((slot, *_),) = versions.values()
            if slot.values.shape == constant.tensor.dims:
                edits |= constant.tensor.edits(slot.values)
            else:
                edits[constant.span] = encode_delimited(_INITIALIZER, encode_tensor(name, slot.values))
            continue
        if model.ir_version < _CONSTANTS_ARE_INPUTS:
            user = others[0] if others else "another part of the last layer"
            raise ModelError(
                f"the last layer shares {name!r} with {user}, and IR version {model.ir_version} has no room for a "
                "second one; export the model again with a newer opset"
            )
        copies: list[bytes] = []
        for content, group in versions.items():
            if content != current.tobytes():
                copy = _free_name(model, f"{name}_head{len(copies) + 1}")
                copies.append(encode_delimited(_INITIALIZER, encode_tensor(copy, group[0].values)))
                for slot in group:
                    edits[slot.node.input_spans[slot.index]] = encode_text(_NODE_INPUT, copy)
        start, end = constant.span
        # A field of GraphProto may stand anywhere among the others: the copies follow the original.
        edits[start, end] = model.data[start:end] + b"".join(copies)
    return edits


def _other_users(model: OnnxModel, name: str, slots: list[Slot]) -> list[str]:
    """Who reads the constant `name` besides `slots`, for a message."""
    own = {(slot.node.span, slot.index) for slot in slots}
    users = [
        node.describe()
        for node in model.consumers(name)
        if name in node.outer_names or any(n == name and (node.span, i) not in own for i, n in enumerate(node.inputs))
    ]
    return users + ["the graph's output"] * any(spec.name == name for spec in model.outputs)


def _free_name(model: OnnxModel, wanted: str) -> str:
    taken = {name for node in model.nodes for name in (*node.inputs, *node.outputs, *node.outer_names)}
    taken |= set(model.initializers)
    while wanted in taken:
        wanted += "_"
    return wanted
