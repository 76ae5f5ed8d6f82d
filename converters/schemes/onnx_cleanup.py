"""Make a graph from tf2onnx plain: constant shapes, no dead nodes, names that do not depend on a process's history."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_BATCHES = (2, 3)
"""Two sizes tell a dimension that follows the batch from a constant one."""

_COUNTER = re.compile(r"__\d+|/MatMulAddFusion")


def settle_reshapes(model: Any) -> None:
    """Replace computed target shapes by constant ones, and drop a Reshape that changes nothing; in place.

    A Flatten of a dynamic batch comes as Shape, Gather, Slice, Concat and Reshape. Where only one dimension follows the
    batch, the constant -1 says the same.
    """
    import onnx

    graph = model.graph
    small, large = (_shapes(model, batch) for batch in _BATCHES)
    constants = {tensor.name for tensor in graph.initializer}
    replaced: dict[str, str] = {}
    kept: list[Any] = []
    for node in graph.node:
        if node.op_type == "Reshape":
            source, result = node.input[0], node.output[0]
            if small[source] == small[result] and large[source] == large[result] and result not in _ends(graph):
                replaced[result] = source
                continue
            shape = [a if a == b else -1 for a, b in zip(small[result], large[result], strict=True)]
            if node.input[1] not in constants and shape.count(-1) <= 1:
                name = f"{result}_shape"
                graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape, np.int64), name))
                node.input[1] = name
        kept.append(node)
    for node in kept:
        for i, name in enumerate(node.input):
            while name in replaced:
                name = replaced[name]
            node.input[i] = name
    nodes = [type(graph.node[0]).FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(nodes)
    drop_dead(model)


def drop_dead(model: Any) -> None:
    """Remove nodes and constants whose results nobody reads; in place."""
    graph = model.graph
    needed = _ends(graph)
    live: list[Any] = []
    # Nodes stand in topological order, so one walk from the end sees every reader before the writer.
    for node in reversed(graph.node):
        if any(output in needed for output in node.output):
            needed.update(node.input)
            live.append(type(node).FromString(node.SerializeToString()))
    constants = [
        type(tensor).FromString(tensor.SerializeToString()) for tensor in graph.initializer if tensor.name in needed
    ]
    del graph.node[:]
    graph.node.extend(reversed(live))
    del graph.initializer[:]
    graph.initializer.extend(constants)


def name_by_order(model: Any) -> None:
    """Rename nodes, tensors and constants by layer and by order in the graph; in place.

    tf2onnx numbers what it makes with a counter that runs on through the process, and names shared constants after
    whichever user it meets first; files of the same model would differ.
    """
    graph = model.graph
    ends = {graph.input[0].name} | _ends(graph)
    names = {name: name for name in ends}
    taken = set(ends)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ordered: list[Any] = []
    for node in graph.node:
        node.name = _unused(_COUNTER.sub("", node.name) or node.op_type, taken)
        for i, name in enumerate(node.input):
            if name and name not in names:
                names[name] = _unused(f"{node.name}/input{i}", taken)
                ordered.append(constants[name])
        for i, name in enumerate(node.output):
            if name and name not in names:
                names[name] = _unused(f"{node.name}:{i}", taken)
        for fields in (node.input, node.output):
            for i, name in enumerate(fields):
                fields[i] = names.get(name, name)
        node.doc_string = ""
    renamed = [type(tensor).FromString(tensor.SerializeToString()) for tensor in ordered]
    for tensor in renamed:
        tensor.name = names[tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(renamed)
    del graph.value_info[:]


def _unused(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _ends(graph: Any) -> set[str]:
    return {output.name for output in graph.output}


def _shapes(model: Any, batch: int) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a node writes or that enters the graph, from a run with `batch` samples."""
    import onnx
    import onnxruntime

    probe = onnx.ModelProto.FromString(model.SerializeToString())
    del probe.graph.output[:]
    names = [name for node in probe.graph.node for name in node.output if name]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    # Optimizing would remove the very tensors that are asked for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = (batch, *entry.shape[1:])
    values: Any = session.run(names, {entry.name: np.zeros(shape, np.float32)})
    return {entry.name: shape} | {name: value.shape for name, value in zip(names, values, strict=True)}
