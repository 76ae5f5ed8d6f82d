"""The version of each operator of a `.tflite`, and the oldest runtime that has it.

A runtime refuses a version that it does not know. Left too low, it loads what it then computes wrongly. The numbers are
those of TFLite's own versioning (op_version.cc and runtime_version.cc of TensorFlow Lite), for the types that schemes
make.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OperatorVersion:
    """A version of an operator, and the first TensorFlow release whose runtime has it."""

    version: int
    runtime: str


def _table(**rows: tuple[int, str]) -> dict[str, OperatorVersion]:
    return {name: OperatorVersion(*row) for name, row in rows.items()}


_HYBRID = _table(CONV_2D=(2, "1.14.0"), DEPTHWISE_CONV_2D=(4, "2.2.0"), FULLY_CONNECTED=(3, "1.14.0"))
_HYBRID_PER_CHANNEL = _table(CONV_2D=(5, "2.4.0"), DEPTHWISE_CONV_2D=(6, "2.3.0"), FULLY_CONNECTED=(12, "2.17.0"))
_INT4_WEIGHTS = _table(CONV_2D=(7, "2.11.0"), DEPTHWISE_CONV_2D=(7, "2.11.0"), FULLY_CONNECTED=(10, "2.11.0"))
_INT16 = _table(
    # TFLite's versioning looks for int16 weights in these three, which no scheme makes, and leaves them at 1; its
    # kernels for int16 activations came with these versions.
    CONV_2D=(4, "2.3.0"),
    DEPTHWISE_CONV_2D=(5, "2.3.0"),
    FULLY_CONNECTED=(7, "2.3.0"),
    ADD=(3, "2.4.0"),
    AVERAGE_POOL_2D=(3, "2.3.0"),
    CONCATENATION=(3, "2.3.0"),
    LEAKY_RELU=(2, "2.3.0"),
    LOGISTIC=(3, "2.3.0"),
    MAXIMUM=(4, "2.3.0"),
    MAX_POOL_2D=(3, "2.3.0"),
    MEAN=(3, "2.4.0"),
    MINIMUM=(4, "2.3.0"),
    MUL=(4, "2.3.0"),
    PAD=(3, "2.4.0"),
    RELU6=(3, "2.5.0"),
    RESIZE_BILINEAR=(4, "2.5.0"),
    RESIZE_NEAREST_NEIGHBOR=(4, "2.4.0"),
    SOFTMAX=(3, "2.3.0"),
    SUB=(5, "2.4.0"),
    TANH=(3, "2.3.0"),
    TRANSPOSE=(5, "2.4.0"),
)
_DEQUANTIZE = {"int8": (2, "1.14.0"), "uint8": (1, "1.13.1"), "int16": (3, "1.15.0"), "float16": (3, "1.15.0")}
_DEQUANTIZE_PER_CHANNEL = OperatorVersion(5, "2.7.0")
_QUANTIZE = {"int8": (1, "1.14.0"), "uint8": (1, "1.14.0"), "int16": (2, "1.15.0")}


def version_of(op: str, inputs: tuple[str, ...], output: str, *, per_channel: bool) -> OperatorVersion | None:
    """The version that an operator of these types needs; None where its types ask for nothing beyond what it has.

    Args:
        op: as the schema names it.
        inputs: types of its inputs, as "int8"; weights are the second one.
        output: type of its output.
        per_channel: whether its weights, or what it widens, have several scales.
    """
    if op == "DEQUANTIZE":
        return _DEQUANTIZE_PER_CHANNEL if per_channel else OperatorVersion(*_DEQUANTIZE[inputs[0]])
    if op == "QUANTIZE":
        return OperatorVersion(*_QUANTIZE[output])
    if inputs[0] == "int16":
        return _INT16.get(op)
    if op in _HYBRID and inputs[:2] == ("float32", "int8"):
        return (_HYBRID_PER_CHANNEL if per_channel else _HYBRID)[op]
    if op in _INT4_WEIGHTS and inputs[1:2] == ("int4",):
        return _INT4_WEIGHTS[op]
    return None


def later(one: str, other: str) -> str:
    """The later of two releases: "2.11.0" comes after "2.4.0"."""
    return max(one, other, key=lambda text: [int(number) for number in text.split(".")])
