"""ONNX float32 -> ONNX that computes in float16; its input and output stay float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.converter_output import silent_step
from converters.schemes.onnx_float32 import INPUT, OUTPUT
from converters.schemes.onnx_quantizer import finished
from edge_cnn.core.errors import ModelError

_HALF_INPUT, _HALF_OUTPUT = "input_float16", "scores_float16"

_FLOAT32_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs that are float32 whatever the node computes in: roi and scales (ONNX operator specifications)."""


def convert_to_onnx_float16(model: bytes) -> bytes:
    """Half the bytes: every float constant is float16, with a Cast behind the input and one in front of the output.

    Args:
        model: the bytes of a float model from `convert_to_onnx_float32`.

    Raises:
        ModelError: a constant is too large for float16.
    """
    with silent_step("converting to ONNX float16"):
        import onnx

        proto: Any = onnx.ModelProto.FromString(model)
        graph = proto.graph
        kept = {
            node.input[place]
            for node in graph.node
            for place in _FLOAT32_INPUTS.get(node.op_type, ())
            if place < len(node.input)
        }
        for tensor in graph.initializer:
            if tensor.name not in kept:
                _narrow(tensor)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    _narrow(attribute.t)
            for names, old, new in ((node.input, INPUT, _HALF_INPUT), (node.output, OUTPUT, _HALF_OUTPUT)):
                names[:] = [new if name == old else name for name in names]
            # What reads the scores inside the graph reads the narrow ones.
            node.input[:] = [_HALF_OUTPUT if name == OUTPUT else name for name in node.input]
        types = onnx.TensorProto
        graph.node.insert(0, onnx.helper.make_node("Cast", [INPUT], [_HALF_INPUT], "to_float16", to=types.FLOAT16))
        graph.node.append(onnx.helper.make_node("Cast", [_HALF_OUTPUT], [OUTPUT], "to_float32", to=types.FLOAT))
        return finished(proto)


def _narrow(tensor: Any) -> None:
    """A float32 constant as float16; in place."""
    import onnx

    if tensor.data_type != onnx.TensorProto.FLOAT:
        return
    values = onnx.numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    # Infinities are wanted where they stand already: the bounds of a one-sided Clip.
    if np.any(np.isinf(half) & np.isfinite(values)):
        raise ModelError(
            f"{tensor.name!r} holds {np.abs(values).max():.3g}, float16 ends at 65504; export it as float32 or int8"
        )
    tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
