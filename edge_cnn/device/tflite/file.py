"""A read view of a `.tflite` file (schema.fbs, version 3), with the place of everything that surgery overwrites.

It needs numpy alone: neither a FlatBuffers package nor generated schema code, since tflite-runtime brings neither.
The numbers below are field positions of the public schema.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.tflite.flatbuffer import Data, Span, Table, Vector, damaged, read_root
from edge_cnn.device.tflite.schema import BUILTIN_OPERATORS
from edge_cnn.device.tflite.tensor import Tensor, read_tensor

IDENTIFIER = b"TFL3"
NO_TENSOR = -1
"""Index that stands for an optional input that is left out."""

HYBRID_PER_CHANNEL_VERSION = 12
"""Version of FULLY_CONNECTED that brought float inputs with per-channel integer weights."""

MAX_OPERANDS = 2**16
"""Most inputs of one operator."""

MAX_ENDPOINTS = 2**10
"""Most inputs or outputs of a graph; networks with a state a layer have some dozens."""


@dataclass(frozen=True)
class Operator:
    """One operator of a subgraph.

    Attributes:
        index: place in the subgraph.
        name: "FULLY_CONNECTED"; of a custom operator its own name.
        version: as the file states it.
        inputs, outputs: tensor indices, -1 for an optional one that is left out.
        table: the Operator table, for its options.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Table

    def options(self, union_type: int) -> Table | None:
        """The built-in options, None where they are absent or of another type. Raises: ModelError: damaged."""
        return self.table.table(4) if self.table.scalar(3, "<B") == union_type else None


@dataclass(frozen=True)
class Subgraph:
    """One graph of the file.

    Attributes:
        name: often "main" or "".
        tensors, operators: in the order of the file, which is the order of execution.
        inputs, outputs: tensor indices.
        output_vector, operator_vector: their places, to overwrite.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_vector: Vector | None
    operator_vector: Vector | None

    @cached_property
    def producers(self) -> dict[int, Operator]:
        """Tensor index -> the operator that writes it."""
        return {tensor: operator for operator in self.operators for tensor in operator.outputs}

    @cached_property
    def consumers(self) -> dict[int, list[Operator]]:
        """Tensor index -> the operators that read it."""
        readers: dict[int, list[Operator]] = {}
        for operator in self.operators:
            for tensor in set(operator.inputs):
                readers.setdefault(tensor, []).append(operator)
        return readers


@dataclass(frozen=True)
class Endpoint:
    """A named input or output of a signature.

    Attributes:
        name: as callers give it.
        tensor: index in the signature's subgraph.
        position: offset of the 32-bit index in the file, None where the file leaves it at the default 0.
    """

    name: str
    tensor: int
    position: int | None


@dataclass(frozen=True)
class Signature:
    """A named way to call a subgraph."""

    key: str
    subgraph: int
    inputs: tuple[Endpoint, ...]
    outputs: tuple[Endpoint, ...]


@dataclass(frozen=True)
class TfliteModel:
    """A `.tflite` file, read.

    Attributes:
        data: the file.
        subgraphs: the first one is what an interpreter runs.
        buffers: where the bytes of each buffer lie; None for an empty one.
        signatures: named entry points.
        metadata: (name, buffer index).
    """

    data: Data
    subgraphs: tuple[Subgraph, ...]
    buffers: tuple[Span | None, ...]
    signatures: tuple[Signature, ...]
    metadata: tuple[tuple[str, int], ...]

    @property
    def main(self) -> Subgraph:
        return self.subgraphs[0]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return tuple(self.main.tensors[i].spec for i in self.main.inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return tuple(self.main.tensors[i].spec for i in self.main.outputs)

    def constant(self, tensor: Tensor) -> Span | None:
        """Where the values of a constant lie; None for a tensor that is computed."""
        return self.buffers[tensor.buffer]

    def op_versions(self) -> list[tuple[str, int, int]]:
        """(operator name, version, count) over all subgraphs, by name."""
        counts = Counter((op.name, op.version) for graph in self.subgraphs for op in graph.operators)
        return [(name, version, count) for (name, version), count in sorted(counts.items())]


def read_tflite(artifact: Artifact) -> TfliteModel:
    """Read a `.tflite` file.

    Raises:
        ModelError: damaged; no offset or index in the file is followed unchecked.
    """
    data = artifact.data
    root = read_root(data, IDENTIFIER)
    buffers = tuple(_read_buffer(data, table) for table in root.tables(4))
    codes = [_read_operator_code(table) for table in root.tables(1)]
    subgraphs = tuple(_read_subgraph(table, codes, len(buffers)) for table in root.tables(2))
    if not subgraphs:
        raise damaged(f"{artifact.name} holds no graph")
    metadata = tuple((table.text(0), table.scalar(1, "<I")) for table in root.tables(6))
    if any(buffer >= len(buffers) for _, buffer in metadata):
        raise damaged("a metadata entry names a buffer that is not there")
    signatures = tuple(_read_signature(table) for table in root.tables(7))
    return TfliteModel(data, subgraphs, buffers, signatures, metadata)


def op_versions(artifact: Artifact) -> list[tuple[str, int, int]]:
    """(operator name, version, count), by name. Raises: ModelError: damaged."""
    return read_tflite(artifact).op_versions()


def has_hybrid_per_channel_dense(artifact: Artifact) -> bool:
    """Whether a FULLY_CONNECTED takes float inputs and integer weights with one scale a class, and hides it.

    Runtimes without kernels for this refuse `HYBRID_PER_CHANNEL_VERSION`; at a lower version they take the weights for
    per-tensor ones.

    Raises:
        ModelError: damaged.
    """
    for graph in read_tflite(artifact).subgraphs:
        for operator in graph.operators:
            if operator.name != "FULLY_CONNECTED" or operator.version >= HYBRID_PER_CHANNEL_VERSION:
                continue
            if len(operator.inputs) < 2 or NO_TENSOR in operator.inputs[:2]:
                continue
            embedding, weights = (graph.tensors[i] for i in operator.inputs[:2])
            scales = weights.quantization.scales if weights.quantization else None
            if embedding.dtype == "float32" and "int" in weights.dtype and scales is not None and len(scales) > 1:
                return True
    return False


def _read_buffer(data: Data, table: Table) -> Span | None:
    content = table.vector(0, "u1")
    if content is not None and len(content):
        return content.span
    # Files beyond 2 GB keep the bytes after the FlatBuffer; offsets 0 and 1 mean that there are none.
    offset, size = table.scalar(1, "<Q"), table.scalar(2, "<Q")
    if offset <= 1 or size == 0:
        return None
    if offset + size > len(data):
        raise damaged(f"a buffer of {size} bytes at byte {offset} goes beyond the end of the file")
    return offset, offset + size


def _read_operator_code(table: Table) -> tuple[str, int]:
    # The 8-bit field is the older one; whichever is larger counts.
    code = max(table.scalar(0, "<b"), table.scalar(3, "<i"))
    name = BUILTIN_OPERATORS[code] if 0 <= code < len(BUILTIN_OPERATORS) else f"BUILTIN_{code}"
    return (table.text(1) or name if name == "CUSTOM" else name), table.scalar(2, "<i", 1)


def _read_subgraph(table: Table, codes: list[tuple[str, int]], buffers: int) -> Subgraph:
    tensors = tuple(read_tensor(t, i) for i, t in enumerate(table.tables(0)))
    if any(tensor.buffer >= buffers for tensor in tensors):
        raise damaged("a tensor names a buffer that is not there")
    operators = tuple(_read_operators(table, codes, len(tensors)))
    return Subgraph(
        table.text(4),
        tensors,
        operators,
        _indices(table, 1, len(tensors), limit=MAX_ENDPOINTS, lowest=0),
        _indices(table, 2, len(tensors), limit=MAX_ENDPOINTS, lowest=0),
        table.vector(2, "<i4"),
        table.vector(3, "<u4"),
    )


def _read_operators(subgraph: Table, codes: list[tuple[str, int]], tensors: int) -> Iterator[Operator]:
    for index, table in enumerate(subgraph.tables(3)):
        code = table.scalar(0, "<I")
        if code >= len(codes):
            raise damaged(f"operator {index} has code {code} of {len(codes)}")
        inputs, outputs = (_indices(table, i, tensors, limit=MAX_OPERANDS, lowest=NO_TENSOR) for i in (1, 2))
        yield Operator(index, *codes[code], inputs, outputs, table)


def _indices(table: Table, field: int, tensors: int, *, limit: int, lowest: int) -> tuple[int, ...]:
    vector = table.vector(field, "<i4")
    if vector is None:
        return ()
    if vector.count > limit:
        raise damaged(f"{vector.count} tensors are listed at byte {vector.start}, the limit is {limit}")
    table.budget.spend(4 * vector.count)
    indices = tuple(vector.array().tolist())
    if any(not lowest <= index < tensors for index in indices):
        raise damaged(f"a tensor listed at byte {vector.start} is not there")
    return indices


def _read_signature(table: Table) -> Signature:
    inputs, outputs = (tuple(_read_endpoint(t) for t in table.tables(i)) for i in (0, 1))
    return Signature(table.text(2), table.scalar(4, "<I"), inputs, outputs)


def _read_endpoint(table: Table) -> Endpoint:
    return Endpoint(table.text(0), table.scalar(1, "<I"), table.field(1, 4))
