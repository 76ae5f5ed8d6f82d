"""Constants that each layer has to itself, so that changing one layer leaves the others as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.packing import pack


def with_own_constants(graph: FloatGraph) -> FloatGraph:
    """The graph with weights and a bias for every layer that no other operator reads; itself where that is so already.

    Converters store equal constants once, which biases of zero mostly are, and leave some biases out.
    """
    from ai_edge_litert import schema_py_generated as schema

    readers = [i for operator in graph.operators for i in operator.inputs if i >= 0]
    shared = {i for i in readers if readers.count(i) > 1 and graph.tensors[i].constant is not None}
    if not any(layer.bias is None or shared & {layer.weights, layer.bias} for layer in graph.layers):
        return graph
    model: Any = schema.ModelT.InitFromPackedBuf(graph.data, 0)
    subgraph = model.subgraphs[0]

    def add(name: str, values: Any) -> int:
        buffer: Any = schema.BufferT()
        buffer.data = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8)
        model.buffers.append(buffer)
        tensor: Any = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(values.shape), len(model.buffers) - 1
        subgraph.tensors.append(tensor)
        return len(subgraph.tensors) - 1

    for layer in graph.layers:
        inputs = list(layer.operator.inputs)
        place = inputs.index(layer.weights, 1)
        if layer.weights in shared:
            inputs[place] = add(f"{layer.name}/weights", graph.constant(layer.weights))
        place = 3 if layer.operator.op == "TRANSPOSE_CONV" else 2
        if layer.bias is None:
            channels = graph.tensors[layer.weights].shape[layer.channel_axis]
            inputs[place:] = [add(f"{layer.name}/bias", np.zeros(channels, np.float32))]
        elif layer.bias in shared:
            inputs[place] = add(f"{layer.name}/bias", graph.constant(layer.bias))
        subgraph.operators[layer.operator.index].inputs = inputs
    return FloatGraph(pack(model))
