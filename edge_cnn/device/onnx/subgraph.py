"""Cut an `.onnx` graph at a tensor: the same file with that tensor as its only output and the rest left out."""

from __future__ import annotations

from dataclasses import replace

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.onnx.file import OnnxModel
from edge_cnn.device.onnx.node import Node
from edge_cnn.device.onnx.protobuf_wire import Span, encode_delimited, encode_integer, encode_text, rewrite
from edge_cnn.device.onnx.tensor import DATA_TYPES

_OUTPUT = 12


def cut_graph(artifact: Artifact, model: OnnxModel, output: TensorSpec) -> Artifact:
    """The part of `artifact` that computes the tensor `output`, with the file's own bytes for every node and constant.

    Args:
        artifact: the whole model.
        model: the same, read.
        output: a tensor that a node writes; -1 stands for a dimension that the new file leaves open.

    Raises:
        ModelError: no node writes that tensor.
    """
    nodes = _ancestors(model, output.name)
    read = {name for node in nodes for name in (*node.inputs, *node.outer_names)}
    written = {name for node in nodes for name in node.outputs}
    kept = {node.span for node in nodes}
    dropped = {node.span for node in model.nodes} - kept
    unused = {name for name in model.initializers if name not in read}
    dropped |= {model.initializers[name].span for name in unused}
    # An old file lists its constants as inputs too; one without its value would have to be fed.
    dropped |= {v.span for v in model.input_values if v.spec.name in unused}
    # The output is declared once, and nothing that is gone.
    dropped |= {v.span for v in model.value_info if v.spec.name == output.name or v.spec.name not in written}
    live = read | written
    dropped |= {span for name, span in model.annotations if name not in live}
    first, *others = [v.span for v in model.output_values]
    edits: dict[Span, bytes] = dict.fromkeys(dropped | set(others), b"")
    edits[first] = _encode_output(output)
    return replace(artifact, data=rewrite(model.data, edits))


def _ancestors(model: OnnxModel, name: str) -> list[Node]:
    """The nodes that `name` depends on."""
    if name not in model.producers:
        raise ModelError(f"no layer writes {name!r}, so nothing is left before the last layer; give a whole classifier")
    waiting, found = [name], dict[Span, Node]()
    while waiting:
        node = model.producers.get(waiting.pop())
        if node is not None and node.span not in found:
            found[node.span] = node
            waiting += [*node.inputs, *node.outer_names]
    return list(found.values())


def _encode_output(spec: TensorSpec) -> bytes:
    """GraphProto's `output` field with a ValueInfoProto."""
    dims = b"".join(encode_delimited(1, encode_integer(1, d) if d >= 0 else b"") for d in spec.shape)
    tensor_type = encode_integer(1, DATA_TYPES[spec.dtype]) + encode_delimited(2, dims)
    return encode_delimited(_OUTPUT, encode_text(1, spec.name) + encode_delimited(2, encode_delimited(1, tensor_type)))
