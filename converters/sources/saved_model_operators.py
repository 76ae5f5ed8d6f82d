"""What the graphs of a SavedModel would do beside computing.

A SavedModel is a program of TensorFlow's operators, and some of those read and write files or call Python. A classifier
has no use for them, so a model that has one is not loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import ModelError

_OUTSIDE = (
    "PyFunc",
    "EagerPyFunc",
    "ReadFile",
    "WriteFile",
    "MatchingFiles",
    "Dataset",
    "Reader",
    "Summary",
    "Rpc",
    "DebugIdentity",
    "DebugNumeric",
    "InitializeTableFromTextFile",
)
"""Parts of operator names: WriteFile, TFRecordDataset, CreateSummaryFileWriter, ..."""

_CHECKPOINT = ("SaveV2", "RestoreV2", "MergeV2Checkpoints", "SaveSlices", "Save", "Restore", "RestoreSlice")
"""In every SavedModel, but only for loading and saving its weights: the model itself must not reach them."""


def check_operators(path: Path, proto: Any) -> None:
    """Refuse a SavedModel that would touch more than its own tensors.

    Args:
        path: of the folder.
        proto: its tensorflow.core.protobuf SavedModel message.

    Raises:
        ModelError: an operator that reads or writes files, or calls Python.
    """
    for meta in proto.meta_graphs:
        graph = meta.graph_def
        functions = {function.signature.name: list(function.node_def) for function in graph.library.function}
        for node in [*graph.node, *(node for nodes in functions.values() for node in nodes)]:
            if any(part in node.op for part in _OUTSIDE):
                raise _refused(path, node)
        for node in _reached(meta, graph, functions):
            if node.op in _CHECKPOINT:
                raise _refused(path, node)


def _refused(path: Path, node: Any) -> ModelError:
    return ModelError(
        f"{path} has the operator {node.op} ({node.name}), which does more than compute; "
        "export the model without what reads or writes files or calls Python"
    )


def _reached(meta: Any, graph: Any, functions: dict[str, list[Any]]) -> Iterator[Any]:
    """Nodes that the signatures can run, in the graph and in functions."""
    nodes = {node.name: node for node in graph.node}
    ends = [tensor.name for signature in meta.signature_def.values() for tensor in signature.outputs.values()]
    waiting = [name for name in map(_node_of, ends) if name in nodes]
    calls: list[str] = []
    seen = set(waiting)
    while waiting:
        node = nodes[waiting.pop()]
        yield node
        calls.extend(_called(node))
        inputs = {name for name in map(_node_of, node.input) if name in nodes} - seen
        seen |= inputs
        waiting.extend(inputs)
    followed: set[str] = set()
    while calls:
        name = calls.pop()
        if name in followed or name not in functions:
            continue
        followed.add(name)
        for node in functions[name]:
            yield node
            calls.extend(_called(node))


def _called(node: Any) -> Iterator[str]:
    yield node.op  # a function may be called by its own name
    for value in node.attr.values():
        if value.func.name:
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]
