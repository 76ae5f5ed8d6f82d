"""Float model -> TFLite with float16 constants, each widened by a DEQUANTIZE in front of its reader."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from converters.float_graph.float_graph import FloatGraph
from converters.schemes.layer_names import check_names
from converters.schemes.tflite_edit import TfliteEdit
from edge_cnn.core.errors import ModelError


def to_float16(graph: FloatGraph, *, in_float: Collection[str] = ()) -> bytes:
    """Half the bytes; runtimes compute in float32, or in float16 where the hardware does.

    Args:
        graph: float32.
        in_float: names of operators whose constants stay float32.

    Raises:
        ModelError: a constant is too large for float16, or a name is not in the graph.
    """
    check_names(graph, in_float)
    edit = TfliteEdit(graph.data)
    kept = {i for operator in graph.operators if operator.name in in_float for i in operator.inputs}
    widened: list[tuple[int, int]] = []
    for tensor in graph.tensors:
        if tensor.constant is None or tensor.type != "float32" or tensor.index in kept:
            continue
        with np.errstate(over="ignore"):
            half = tensor.constant.astype(np.float16)
        if not np.all(np.isfinite(half)):
            raise ModelError(
                f"{tensor.name!r} holds {np.abs(tensor.constant).max():.3g}, float16 ends at 65504; "
                "export it as float32 or int8"
            )
        narrow = edit.add_tensor(f"{tensor.name}_float16", tensor.shape, "float16", values=half)
        edit.tensors[tensor.index].buffer = 0
        widened.append((narrow, tensor.index))
    for narrow, wide in reversed(widened):
        edit.add_operator(0, "DEQUANTIZE", [narrow], [wide])
    return edit.finish()
