"""Other types at the ends of a full-integer `.tflite`: uint8 pixels and scores, or floats; the codes inside stay."""

from __future__ import annotations

from converters.float_graph.float_graph import text
from converters.schemes.tflite_edit import TfliteEdit
from edge_cnn.core.errors import ModelError

_SIGN = 128
"""What an int8 code and its zero point lack to the uint8 ones of the same value."""


def with_uint8_ends(data: bytes) -> bytes:
    """An int8 file that takes and gives uint8 of the same scale, with a QUANTIZE at each end.

    Raises:
        ModelError: an end is not int8.
    """
    return _with_ends(data, "uint8")


def with_float_ends(data: bytes) -> bytes:
    """An int8 file that takes and gives float32, with a QUANTIZE in front and a DEQUANTIZE at the end.

    Raises:
        ModelError: an end is not int8.
    """
    return _with_ends(data, "float32")


def _with_ends(data: bytes, type: str) -> bytes:
    edit = TfliteEdit(data)
    edit.graph.inputs, edit.graph.outputs = list(edit.graph.inputs), list(edit.graph.outputs)
    for ends, is_input in ((edit.graph.inputs, True), (edit.graph.outputs, False)):
        for place, index in enumerate(ends):
            inner = edit.tensors[index]
            name = text(inner.name)
            if edit.type_of(index) != "int8":
                raise ModelError(
                    f"{name!r} is {edit.type_of(index)}, only int8 ends can become {type}; export it as int8"
                )
            quantization = None
            if type == "uint8":
                quantization = edit.quantization(
                    inner.quantization.scale, [int(z) + _SIGN for z in inner.quantization.zeroPoint]
                )
            outer = edit.add_tensor(name, inner.shape, type, quantization)
            inner.name = f"{name}_int8"
            if is_input:
                edit.add_operator(0, "QUANTIZE", [outer], [index])
            else:
                op = "QUANTIZE" if type == "uint8" else "DEQUANTIZE"
                edit.add_operator(len(edit.operators), op, [index], [outer])
            ends[place] = outer
            _follow_in_signatures(edit, index, outer)
    return edit.finish()


def _follow_in_signatures(edit: TfliteEdit, old: int, new: int) -> None:
    for signature in edit.model.signatureDefs or ():
        for endpoint in (*(signature.inputs or ()), *(signature.outputs or ())):
            if endpoint.tensorIndex == old:
                endpoint.tensorIndex = new
