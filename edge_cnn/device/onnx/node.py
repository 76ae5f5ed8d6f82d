"""One operator of an `.onnx` graph (NodeProto of onnx.proto3), with the place of its parts in the file."""

from __future__ import annotations

from dataclasses import dataclass

from edge_cnn.device.onnx.protobuf_wire import (
    Field,
    Span,
    damaged,
    read_bytes,
    read_fields,
    read_float,
    read_integer,
    read_integers,
    read_message,
    read_text,
)
from edge_cnn.device.onnx.tensor import StoredTensor, read_tensor

_DEEPEST_SUBGRAPH = 16
"""Control flow within control flow; real models have one or two levels, a made-up file may have thousands."""

Attribute = int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """An operator.

    Attributes:
        op: type, for example "Gemm".
        domain: of the operator, "" for ONNX's own.
        name: often empty.
        inputs, outputs: tensor names, "" for an optional one that is left out.
        attributes: the integers, floats, strings and lists of integers among them.
        tensors: the tensors among the attributes.
        outer_names: tensor names that the node's subgraphs (If, Loop) mention.
        inner_ops: (domain, op) of each node in its subgraphs.
        span: absolute byte range of the field in GraphProto.
        input_spans: absolute byte range of each input's field.
    """

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]
    tensors: dict[str, StoredTensor]
    outer_names: frozenset[str]
    inner_ops: tuple[tuple[str, str], ...]
    span: Span
    input_spans: tuple[Span, ...]

    def input(self, index: int) -> str:
        """Name of the input at `index`, "" where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def describe(self) -> str:
        """For messages: the operator with the name of the node, or of its output where it has none."""
        # A damaged name may hold control characters, which are not for a terminal.
        op = self.op if self.op.isidentifier() else repr(self.op)
        return f"{op} {self.name or (self.outputs[0] if self.outputs else '')!r}"


def read_node(data: bytes, field: Field, depth: int = 0) -> Node:
    """The NodeProto in `field`.

    Raises:
        ModelError: damaged, or nested too deep.
    """
    texts = {3: "", 4: "", 7: ""}
    inputs: list[str] = []
    outputs: list[str] = []
    input_spans: list[Span] = []
    attributes: dict[str, Attribute] = {}
    tensors: dict[str, StoredTensor] = {}
    outer_names: set[str] = set()
    inner_ops: list[tuple[str, str]] = []
    for part in read_fields(data, read_message(field)):
        match part.number:
            case 1:
                inputs.append(read_text(data, part))
                input_spans.append(part.span)
            case 2:
                outputs.append(read_text(data, part))
            case 3 | 4 | 7:
                texts[part.number] = read_text(data, part)
            case 5:
                name, value, tensor, graphs = _read_attribute(data, read_message(part))
                if value is not None:
                    attributes[name] = value
                if tensor is not None:
                    tensors[name] = tensor
                for graph in graphs:
                    _read_subgraph(data, graph, depth + 1, outer_names, inner_ops)
            case _:
                pass
    return Node(
        texts[4],
        texts[7],
        texts[3],
        tuple(inputs),
        tuple(outputs),
        attributes,
        tensors,
        frozenset(outer_names),
        tuple(inner_ops),
        field.span,
        tuple(input_spans),
    )


def _read_attribute(data: bytes, span: Span) -> tuple[str, Attribute | None, StoredTensor | None, list[Span]]:
    name = ""
    value: Attribute | None = None
    tensor: Span | None = None
    graphs: list[Span] = []
    integers: list[int] = []
    for field in read_fields(data, span):
        match field.number:
            case 1:
                name = read_text(data, field)
            case 2:
                value = read_float(data, field)
            case 3:
                value = read_integer(field)
            case 4:
                value = read_bytes(data, field).decode(errors="replace")
            case 5:
                tensor = read_message(field)
            case 6 | 11:
                graphs.append(read_message(field))
            case 8:
                integers += read_integers(data, field)
            case _:
                pass
    if integers:
        value = tuple(integers)
    return name, value, None if tensor is None else read_tensor(data, tensor), graphs


def _read_subgraph(data: bytes, span: Span, depth: int, names: set[str], ops: list[tuple[str, str]]) -> None:
    """Add what the GraphProto at `span` mentions. Its own names are among them: that keeps at most too much."""
    if depth > _DEEPEST_SUBGRAPH:
        raise damaged(f"graphs within graphs more than {_DEEPEST_SUBGRAPH} deep")
    for field in read_fields(data, span):
        if field.number == 1:
            node = read_node(data, field, depth)
            names.update(node.inputs, node.outer_names)
            ops += [(node.domain, node.op), *node.inner_ops]
        elif field.number == 12:
            # A branch may hand a tensor of the outer graph through.
            names.update(read_text(data, f) for f in read_fields(data, read_message(field)) if f.number == 1)
