"""A read view of an `.onnx` file (ModelProto of onnx.proto3), with the place of everything in the bytes.

It needs numpy alone, so that a board with nothing but a runtime can look into a file and change it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.onnx.node import Node, read_node
from edge_cnn.device.onnx.protobuf_wire import (
    Span,
    damaged,
    read_fields,
    read_integer,
    read_message,
    read_text,
)
from edge_cnn.device.onnx.tensor import DTYPES, StoredTensor, read_tensor

_DEFAULT_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Value:
    """A named tensor of the graph with its declared type (ValueInfoProto).

    Attributes:
        spec: a dimension that is dynamic or unknown is -1; the dtype is "object" where numpy has no such type.
        has_shape: False where the file leaves the rank open; then `spec.shape` is ().
        span: absolute byte range of the field.
    """

    spec: TensorSpec
    has_shape: bool
    span: Span


@dataclass(frozen=True)
class Initializer:
    """A constant of the graph, and the field of GraphProto that holds it: an initializer or a Constant node."""

    tensor: StoredTensor
    span: Span
    is_node: bool = False


@dataclass(frozen=True)
class OnnxModel:
    """An `.onnx` file, read.

    Attributes:
        data: the file.
        ir_version: of the file format.
        opsets: operator domain -> version; the default domain is "".
        nodes: in the order of the graph, which is topological.
        initializers: name -> constant.
        inputs: graph inputs that are not initializers.
        outputs: graph outputs.
        input_values, value_info: declared types with their places; the former include initializers of old files.
        annotations: tensor name -> place of a quantization annotation.
        metadata: metadata_props.
    """

    data: bytes
    ir_version: int
    opsets: dict[str, int]
    nodes: tuple[Node, ...]
    initializers: dict[str, Initializer]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_values: tuple[Value, ...]
    output_values: tuple[Value, ...]
    value_info: tuple[Value, ...]
    annotations: tuple[tuple[str, Span], ...]
    metadata: dict[str, str]

    @cached_property
    def constants(self) -> dict[str, Initializer]:
        """Initializers and Constant nodes with a tensor, by the name that nodes read."""
        held = {
            node.outputs[0]: Initializer(node.tensors["value"], node.span, is_node=True)
            for node in self.nodes
            if node.op == "Constant" and node.outputs and "value" in node.tensors
        }
        return held | self.initializers

    @cached_property
    def producers(self) -> dict[str, Node]:
        """Tensor name -> the node that writes it.

        Raises:
            ModelError: two nodes write the same tensor.
        """
        producers: dict[str, Node] = {}
        for node in self.nodes:
            for name in filter(None, node.outputs):
                if name in producers:
                    raise damaged(f"two nodes write the tensor {name!r}")
                producers[name] = node
        return producers

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read the tensor `name`, directly or in a subgraph."""
        return tuple(node for node in self.nodes if name in node.inputs or name in node.outer_names)

    def op_versions(self) -> list[tuple[str, int, int]]:
        """What the graph computes with: (operator name, version of its operator set, count), by name.

        Operators outside the default domain are named "domain.Operator"; a domain that the file does not import counts
        as version 0. Nodes in subgraphs count too.
        """
        ops = Counter(op for node in self.nodes for op in ((node.domain, node.op), *node.inner_ops))
        rows: Counter[tuple[str, int]] = Counter()
        for (domain, op), count in ops.items():
            default = domain in _DEFAULT_DOMAINS
            # Before opsets were recorded, IR version 3, there was only the first.
            version = self.opsets.get("" if default else domain, 1 if default and not self.opsets else 0)
            rows[op if default else f"{domain}.{op}", version] += count
        return [(name, version, count) for (name, version), count in sorted(rows.items())]


def read_onnx(artifact: Artifact) -> OnnxModel:
    """Read an `.onnx` file.

    Raises:
        ModelError: damaged, or its tensors are in other files.
    """
    data = artifact.data
    ir_version, graphs = 0, list[Span]()
    opsets: dict[str, int] = {}
    metadata: dict[str, str] = {}
    for field in read_fields(data, (0, len(data))):
        match field.number:
            case 1:
                ir_version = read_integer(field)
            case 7:
                graphs.append(read_message(field))
            case 8:
                domain, version = _read_opset(data, read_message(field))
                opsets["" if domain in _DEFAULT_DOMAINS else domain] = version
            case 14:
                key, value = _read_string_pair(data, read_message(field))
                metadata[key] = value
            case _:
                pass
    if len(graphs) != 1:
        raise damaged(f"{artifact.name} holds {len(graphs)} graphs, not one")
    return _read_graph(data, graphs[0], ir_version, opsets, metadata)


def read_onnx_properties(artifact: Artifact) -> dict[str, str]:
    """The file's metadata_props alone, without reading the graph. Raises: ModelError: damaged."""
    data = artifact.data
    return dict(
        _read_string_pair(data, read_message(field))
        for field in read_fields(data, (0, len(data)))
        if field.number == 14
    )


def op_versions(artifact: Artifact) -> list[tuple[str, int, int]]:
    """`OnnxModel.op_versions` of a file. Raises: ModelError: as `read_onnx`."""
    return read_onnx(artifact).op_versions()


def _read_graph(
    data: bytes, span: Span, ir_version: int, opsets: dict[str, int], metadata: dict[str, str]
) -> OnnxModel:
    nodes: list[Node] = []
    initializers: dict[str, Initializer] = {}
    values: dict[int, list[Value]] = {11: [], 12: [], 13: []}
    annotations: list[tuple[str, Span]] = []
    for field in read_fields(data, span):
        match field.number:
            case 1:
                nodes.append(read_node(data, field))
            case 5:
                tensor = read_tensor(data, read_message(field))
                if tensor.name in initializers:
                    raise damaged(f"two initializers are called {tensor.name!r}")
                initializers[tensor.name] = Initializer(tensor, field.span)
            case 11 | 12 | 13:
                values[field.number].append(_read_value(data, read_message(field), field.span))
            case 14:
                annotations.append((_read_string_pair(data, read_message(field))[0], field.span))
            case _:
                pass
    return OnnxModel(
        data,
        ir_version,
        opsets,
        tuple(nodes),
        initializers,
        tuple(v.spec for v in values[11] if v.spec.name not in initializers),
        tuple(v.spec for v in values[12]),
        tuple(values[11]),
        tuple(values[12]),
        tuple(values[13]),
        tuple(annotations),
        metadata,
    )


def _read_opset(data: bytes, span: Span) -> tuple[str, int]:
    domain, version = "", 0
    for field in read_fields(data, span):
        if field.number == 1:
            domain = read_text(data, field)
        elif field.number == 2:
            version = read_integer(field)
    return domain, version


def _read_string_pair(data: bytes, span: Span) -> tuple[str, str]:
    """StringStringEntryProto; of any other message the text in field 1, and ""."""
    key = value = ""
    for field in read_fields(data, span):
        if field.number == 1:
            key = read_text(data, field)
        elif field.number == 2:
            value = read_text(data, field)
    return key, value


def _read_value(data: bytes, span: Span, field_span: Span) -> Value:
    name, dtype = "", "object"
    shape: list[int] | None = None
    for field in read_fields(data, span):
        if field.number == 1:
            name = read_text(data, field)
        elif field.number == 2:
            for kind in read_fields(data, read_message(field)):
                if kind.number == 1:
                    dtype, shape = _read_tensor_type(data, read_message(kind))
    return Value(TensorSpec(name, tuple(shape or ()), dtype), shape is not None, field_span)


def _read_tensor_type(data: bytes, span: Span) -> tuple[str, list[int] | None]:
    dtype = "object"
    shape: list[int] | None = None
    for field in read_fields(data, span):
        if field.number == 1:
            dtype = DTYPES.get(read_integer(field), "object")
        elif field.number == 2:
            dims = (d for d in read_fields(data, read_message(field)) if d.number == 1)
            shape = [_read_dimension(data, read_message(d)) for d in dims]
    return dtype, shape


def _read_dimension(data: bytes, span: Span) -> int:
    size = -1
    for field in read_fields(data, span):
        if field.number == 1:
            size = read_integer(field)
        elif field.number == 2:
            size = -1
    return size if size > 0 else -1
