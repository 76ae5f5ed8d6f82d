"""A float `.tflite` whose batch is open, as one for a sample at a time."""

from __future__ import annotations

from typing import Any

from converters.converter_output import silent_step
from converters.float_graph.packing import pack


def with_fixed_batch(data: bytes) -> bytes:
    """The file with shapes as LiteRT finds them for a batch of 1, where the leading dimension is open (-1).

    A tensor that joins samples and positions, (n * 12, 4), has 1 for its open dimension in the file and 12 in truth,
    so the shapes that stand beside the open ones are not taken. Other open dimensions stay open.

    Raises:
        Exception: what LiteRT raises of a file that it does not load.
    """
    from ai_edge_litert import interpreter as litert
    from ai_edge_litert import schema_py_generated as schema

    tree: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    tensors: list[Any] = tree.subgraphs[0].tensors
    opened = {index: tensor for index, tensor in enumerate(tensors) if _is_batch_open(tensor)}
    if not opened:
        return data
    with silent_step("opening the float .tflite"):
        interpreter = litert.Interpreter(
            model_content=data,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        shapes = {
            detail["index"]: [int(size) for size in detail["shape"]] for detail in interpreter.get_tensor_details()
        }
    for index, tensor in opened.items():
        tensor.shape = shapes[index]
        signature = [shapes[index][0], *(int(size) for size in tensor.shapeSignature[1:])]
        tensor.shapeSignature = signature if -1 in signature else None
    return pack(tree)


def _is_batch_open(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is not None and len(signature) > 0 and signature[0] == -1
