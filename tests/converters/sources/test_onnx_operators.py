"""Every operator that is read from ONNX, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from converters.sources.load import load_source_model
from converters.sources.onnx.table import OPERATORS
from tests.converters.sources.onnx_models import onnx_model, run_onnx, write

RNG = np.random.default_rng(0)
IMAGE = ("n", 6, 9, 8)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


class Case:
    """Nodes from "x" to "y" with their constants."""

    def __init__(self, *nodes: Any, shape: Any = IMAGE, opset: int = 17, **constants: Any) -> None:
        self.nodes, self.shape, self.opset, self.constants = nodes, shape, opset, constants
        self.ops = {node.op_type for node in nodes}


def one(op: str, *inputs: str, shape: Any = IMAGE, opset: int = 17, constants: Any = None, **attributes: Any) -> Case:
    return Case(
        helper.make_node(op, ["x", *inputs], ["y"], "tested", **attributes),
        shape=shape,
        opset=opset,
        **(constants or {}),
    )


def conv(kernel: tuple[int, ...], **attributes: Any) -> Case:
    constants = {"k": floats(*kernel), "b": floats(kernel[0])}
    return one("Conv", "k", "b", constants=constants, kernel_shape=kernel[2:], **attributes)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), outputs.split(), outputs, **attributes)


STEM = node("Conv", "x k", "c", kernel_shape=[1, 1])
K = floats(5, 6, 1, 1)
"""A layer before the tested one, so that its input lies with the channels last."""

CASES = {
    "Abs": one("Abs"),
    "Add a constant a channel": one("Add", "c", constants={"c": floats(6, 1, 1)}),
    "Add two branches": Case(STEM, node("Relu", "c", "r"), node("Add", "c r", "y"), k=K),
    "AveragePool": one("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool counts padding": one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "AveragePool uneven": one("AveragePool", kernel_shape=[3, 2], pads=[1, 0, 0, 1], strides=[2, 1]),
    "AveragePool ceil": one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, opset=19),
    "BatchNormalization": one(
        "BatchNormalization",
        *"sbmv",
        constants={"s": floats(6), "b": floats(6), "m": floats(6), "v": RNG.random(6).astype(np.float32)},
    ),
    "Cast": one("Cast", to=1),
    "Clip attributes": one("Clip", opset=6, min=-0.5, max=0.5),
    "Clip inputs": one("Clip", "lo", "hi", constants={"lo": np.float32(0), "hi": np.float32(6)}),
    "Clip one side": one("Clip", "lo", constants={"lo": np.float32(-0.3)}),
    "Concat": Case(STEM, node("Relu", "c", "r"), node("Concat", "c r", "y", axis=1), k=K),
    "Concat of flat parts": Case(
        STEM,
        node("Flatten", "c", "f"),
        node("Relu", "f", "r"),
        node("Concat", "f r", "j", axis=1),
        node("MatMul", "j w", "y"),
        k=K,
        w=floats(720, 4),
    ),
    "Conv": conv((5, 6, 3, 3)),
    "Conv like SAME": conv((5, 6, 3, 3), pads=[1, 1, 1, 1]),
    "Conv with padding of PyTorch and stride": conv((5, 6, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2]),
    "Conv uneven": conv((5, 6, 3, 2), pads=[2, 0, 1, 1], strides=[1, 2]),
    "Conv dilated": conv((5, 6, 3, 3), pads=[2, 2, 2, 2], dilations=[2, 2]),
    "Conv auto_pad upper": conv((5, 6, 4, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv auto_pad lower": conv((5, 6, 4, 4), auto_pad="SAME_LOWER", strides=[2, 2]),
    "Conv auto_pad valid": conv((5, 6, 4, 4), auto_pad="VALID"),
    "Conv in groups": conv((8, 3, 3, 3), group=2),
    "Conv depthwise": conv((6, 1, 3, 3), group=6, pads=[1, 1, 1, 1]),
    "Conv depthwise, two outputs a channel": conv((12, 1, 3, 3), group=6, strides=[2, 2]),
    "Conv depthwise, uneven strides": conv((6, 1, 3, 3), group=6, strides=[2, 1], pads=[1, 1, 1, 1]),
    "Div": one("Div", "c", constants={"c": np.float32(3)}),
    "Div a constant by it": Case(node("Exp", "x", "e"), node("Div", "c e", "y"), c=np.float32(2)),
    "Dropout": one("Dropout"),
    "Elu": one("Elu", alpha=0.7),
    "Erf": one("Erf"),
    "Exp": one("Exp"),
    "Flatten then Gemm": Case(
        STEM, node("Flatten", "c", "f"), node("Gemm", "f w b", "y", transB=1), k=K, w=floats(4, 360), b=floats(4)
    ),
    "Flatten then everything": Case(
        STEM,
        node("Flatten", "c", "f"),
        node("Mul", "f s", "m"),
        node("BatchNormalization", "m s2 b2 m2 v2", "n"),
        node("Relu", "n", "r"),
        node("Softmax", "r", "y", axis=1),
        k=K,
        s=floats(360),
        s2=floats(360),
        b2=floats(360),
        m2=floats(360),
        v2=RNG.random(360).astype(np.float32),
    ),
    "Gelu": one("Gelu", opset=20),
    "Gelu by tanh": one("Gelu", opset=20, approximate="tanh"),
    "Gemm with factors": one(
        "Gemm", "w", "b", shape=("n", 7), constants={"w": floats(7, 4), "b": floats(1, 4)}, alpha=0.5, beta=2.0
    ),
    "GlobalAveragePool": one("GlobalAveragePool"),
    "GlobalMaxPool": one("GlobalMaxPool"),
    "HardSigmoid": one("HardSigmoid"),
    "HardSigmoid of PyTorch": one("HardSigmoid", alpha=1 / 6),
    "HardSwish": one("HardSwish"),
    "Identity": one("Identity"),
    "LeakyRelu": one("LeakyRelu", alpha=0.1),
    "LogSoftmax": one("LogSoftmax", shape=("n", 7)),
    "MatMul": one("MatMul", "w", shape=("n", 7), constants={"w": floats(7, 4)}),
    "MatMul of rows": one("MatMul", "w", shape=("n", 5, 7), constants={"w": floats(7, 4)}),
    "MatMul of two": Case(node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y"), shape=("n", 5, 7)),
    "Max": one("Max", "c", constants={"c": np.float32(0.2)}),
    "MaxPool": one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPool padded, negative values": Case(
        node("Sub", "x c", "s"),
        node("MaxPool", "s", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        c=np.float32(9),
    ),
    "MaxPool padded after Relu": Case(
        node("Relu", "x", "r"), node("MaxPool", "r", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ),
    "MaxPool ceil": Case(
        node("Sub", "x c", "s"),
        node("MaxPool", "s", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        c=np.float32(9),
    ),
    "MaxPool dilated": one("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]),
    "Min": one("Min", "c", constants={"c": np.float32(0.2)}),
    "Mul by a gate": Case(
        STEM, node("GlobalAveragePool", "c", "g"), node("Sigmoid", "g", "s"), node("Mul", "s c", "y"), k=K
    ),
    "Neg": one("Neg"),
    "PRelu": one("PRelu", "s", constants={"s": floats(6, 1, 1)}),
    "Pad": one("Pad", "p", constants={"p": integers(0, 1, 2, 0, 0, 0, 1, 3)}),
    "Pad attribute": one("Pad", opset=2, pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.5),
    "Pad mirrored": one("Pad", "p", constants={"p": integers(0, 0, 2, 1, 0, 0, 1, 2)}, mode="reflect"),
    "Pow": one("Pow", "c", constants={"c": np.float32(2)}),
    "ReduceMax": one("ReduceMax", axes=[2, 3], keepdims=1),
    "ReduceMean": one("ReduceMean", axes=[-1, -2], keepdims=0),
    "ReduceMean, axes as input": one("ReduceMean", "a", constants={"a": integers(2, 3)}, opset=18, keepdims=0),
    "ReduceMean over channels": Case(STEM, node("ReduceMean", "c", "y", axes=[1], keepdims=0), k=K),
    "ReduceSum": one("ReduceSum", "a", constants={"a": integers(1)}),
    "Relu": one("Relu"),
    "Reshape to features": Case(
        STEM, node("Reshape", "c s", "f"), node("MatMul", "f w", "y"), k=K, s=integers(-1, 360), w=floats(360, 4)
    ),
    "Reshape with 0 and -1": one("Reshape", "s", constants={"s": integers(0, 6, -1)}),
    "Reshape as PyTorch's view": Case(
        STEM,
        node("Shape", "c", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n zeros", "u"),
        node("Concat", "u rest", "t", axis=0),
        node("Reshape", "c t", "y"),
        k=K,
        zero=np.array(0, np.int64),
        zeros=integers(0),
        rest=integers(-1),
    ),
    "Reshape, the pixels in one axis": Case(
        STEM, node("Reshape", "c s", "p"), node("ReduceMean", "p", "y", axes=[2]), k=K, s=integers(0, 5, -1)
    ),
    "Reshape as a channel shuffle": Case(
        node("Conv", "x k", "c"),
        node("Reshape", "c s", "p"),
        node("Transpose", "p", "t", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "t s2", "f"),
        node("Conv", "f k2", "y"),
        k=floats(6, 6, 1, 1),
        k2=floats(3, 6, 1, 1),
        s=integers(0, 2, 3, 9, 8),
        s2=integers(0, 6, 9, 8),
    ),
    "Selu": one("Selu"),
    "Sigmoid": one("Sigmoid"),
    "Slice": one(
        "Slice", "a", "b", "c", "d", constants=dict(zip("abcd", (integers(i) for i in (1, 5, 2, 2)), strict=True))
    ),
    "Slice of channels": Case(STEM, node("Slice", "c a b d", "y"), k=K, a=integers(0), b=integers(2), d=integers(1)),
    "Softmax": one("Softmax", shape=("n", 7)),
    "Softmax over channels": one("Softmax", axis=1),
    "Softmax of opset 11": one("Softmax", shape=("n", 7), opset=11),
    "Softplus": one("Softplus"),
    "Split": Case(
        STEM,
        node("Split", "c s", "p q", axis=1),
        node("Concat", "q p", "y", axis=1),
        k=K,
        s=integers(2, 3),
    ),
    "Sqrt": Case(node("Abs", "x", "a"), node("Sqrt", "a", "y")),
    "Squeeze": Case(STEM, node("GlobalAveragePool", "c", "g"), node("Squeeze", "g a", "y"), k=K, a=integers(2, 3)),
    "Squeeze attribute": Case(node("GlobalAveragePool", "x", "g"), node("Squeeze", "g", "y", axes=[2, 3]), opset=11),
    "Sub": one("Sub", "c", constants={"c": floats(1, 6, 1, 1)}),
    "Tanh": one("Tanh"),
    "Transpose to the last axis": Case(
        STEM, node("Transpose", "c", "t", perm=[0, 2, 3, 1]), node("Add", "t b", "y"), k=K, b=floats(5)
    ),
    "Unsqueeze": Case(
        node("Conv", "x k", "c"),
        node("ReduceMean", "c", "m", axes=[2, 3], keepdims=0),
        node("Unsqueeze", "m a", "u"),
        node("Mul", "u c", "y"),
        k=K,
        a=integers(2, 3),
    ),
    "constants are computed beforehand": Case(
        node("Transpose", "w", "t", perm=[1, 0]),
        node("Cos", "t", "u"),
        node("MatMul", "x u", "y"),
        shape=("n", 7),
        w=floats(4, 7),
    ),
    "a batch of 1 built in": Case(
        node("Conv", "x k", "c"), node("Reshape", "c s", "y"), shape=(1, 6, 9, 8), k=K, s=integers(1, -1)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_onnx_runtime_computes(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model = onnx_model(list(case.nodes), case.shape, case.constants, opset=case.opset)
    source = load_source_model(write(model, tmp_path / "m.onnx"))
    count = case.shape[0] if isinstance(case.shape[0], int) else 3
    inputs = np.random.default_rng(1).normal(size=(count, *case.shape[1:])).astype(np.float32)
    expected = run_onnx(model, inputs)
    if len(case.shape) == 4:
        inputs = inputs.transpose(0, 2, 3, 1)
    assert np.abs(source.predict(inputs) - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


def test_every_operator_of_the_table_is_tested() -> None:
    assert set(OPERATORS) <= set().union(*(case.ops for case in CASES.values()))
