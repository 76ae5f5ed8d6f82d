"""Short names for the tensors of a converted file: the layer's own, in place of all that was fused into it.

TFLite's converter joins the names of everything that became one operator with semicolons. In a small network they take
several per cent of the file, and nobody finds a layer by them.
"""

from __future__ import annotations

from typing import Any

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.packing import pack

INPUT, OUTPUT = "input", "scores"
"""As the signature and our ONNX files call the ends."""

_DIGITS = "0123456789"
_PRODUCTS = frozenset({"convolution", "Conv2D", "depthwise", "separable_conv2d", "MatMul"})
"""What TensorFlow calls the operators that have weights, before a number."""


def with_short_names(graph: FloatGraph) -> FloatGraph:
    """The graph with "conv1", "conv1/weights", "conv1/bias", "add2", ...; the ends are "input" and "scores".

    Names stay distinct: a second "conv1" is "conv1_2".
    """
    from ai_edge_litert import schema_py_generated as schema

    names: dict[int, str] = {}
    for operator in graph.operators:
        for place, index in enumerate(operator.outputs):
            names[index] = short_name(graph.tensors[index].name) + (f":{place}" if place else "")
    names |= dict.fromkeys(graph.inputs, INPUT) | dict.fromkeys(graph.outputs, OUTPUT)
    for layer in graph.layers:
        names.setdefault(layer.weights, f"{names[layer.output]}/weights")
        if layer.bias is not None:
            names.setdefault(layer.bias, f"{names[layer.output]}/bias")
    model: Any = schema.ModelT.InitFromPackedBuf(graph.data, 0)
    taken: set[str] = set()
    for tensor in graph.tensors:
        wanted = names.get(tensor.index, short_name(tensor.name))
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        taken.add(name)
        model.subgraphs[0].tensors[tensor.index].name = name
    return FloatGraph(pack(model))


def short_name(joined: str) -> str:
    """The layer of a tensor: of the joined names the one of the product, without the model before it and the operator
    after it; the last one where there is no product.

    "net/relu1/Relu;net/norm1/batchnorm/mul_1;net/conv1/convolution;1" is "conv1".
    """
    pieces = [piece for piece in joined.split(";") if "/" in piece] or [joined]
    products = [piece for piece in pieces if piece.rsplit("/", 1)[-1].rstrip(_DIGITS) in _PRODUCTS]
    parts = (products or pieces)[-1].split("/")
    return "/".join(parts[1:-1] if len(parts) > 2 else parts[:-1]) or joined
