"""Small `.onnx` classifiers whose heads are of other kinds than a Gemm or MatMul on floats or between Q and DQ."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

from tests.device.onnx_oracle import (
    CLASSES,
    FEATURES,
    SYMMETRIC,
    Calibration,
    finished,
    gemm_classifier,
    matmul_classifier,
    quantized,
)

CONVOLUTIONS = ("conv", "conv-add", "conv-transposed", "conv-u8", "conv-s8", "conv-operator", "conv-dynamic")
FLOAT16 = ("conv-float16", "gemm-float16", "gemm-cast")
OPERATORS = ("gemm-operator", "gemm-operator-per-tensor", "matmul-operator", "conv-operator")
DYNAMIC = ("gemm-dynamic", "matmul-dynamic", "conv-dynamic")
KINDS = (*CONVOLUTIONS, *FLOAT16, *OPERATORS[:-1], *DYNAMIC[:-1])


def conv_classifier(tail="flatten"):
    """As mobile networks end: pooling that keeps the dimensions, a 1x1 convolution, a flatten, a softmax."""
    rng = np.random.default_rng(4)
    shapes = {"conv_w": (FEATURES, 1, 3, 3), "fc_w": (CLASSES, FEATURES, 1, 1), "fc_b": (CLASSES,)}
    if tail == "add":
        shapes["fc_b"] = (1, CLASSES, 1, 1)
    names = ["pooled", "fc_w", *([] if tail == "add" else ["fc_b"])]
    ends = {
        "flatten": [helper.make_node("Flatten", ["scores"], ["flat"], "flatten")],
        "add": [
            helper.make_node("Add", ["scores", "fc_b"], ["biased"], "bias"),
            helper.make_node("Flatten", ["biased"], ["flat"], "flatten"),
        ],
        "transpose": [
            helper.make_node("Transpose", ["scores"], ["nhwc"], "to_nhwc", perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", ["nhwc", "shape"], ["flat"], "reshape"),
        ],
    }
    nodes = [
        helper.make_node("Conv", ["input", "conv_w"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["pooled"], "pool"),
        helper.make_node("Conv", names, ["scores"], "conv_preds", kernel_shape=[1, 1]),
        *ends[tail],
        helper.make_node("Softmax", ["flat"], ["output"], "softmax"),
    ]
    constants = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    if tail == "transpose":
        constants.append(numpy_helper.from_array(np.array([-1, CLASSES], np.int64), "shape"))
    return finished(nodes, constants)


def to_float16(model):
    """Every constant as float16, and a Cast at each end."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for node in model.graph.node:
        node.input[:] = ["half_input" if name == "input" else name for name in node.input]
        node.output[:] = ["half_output" if name == "output" else name for name in node.output]
    model.graph.node.insert(0, helper.make_node("Cast", ["input"], ["half_input"], to=TensorProto.FLOAT16))
    model.graph.node.append(helper.make_node("Cast", ["half_output"], ["output"], to=TensorProto.FLOAT))
    onnx.checker.check_model(model, full_check=True)
    return model


def with_cast_weights(model):
    """The last layer's constants as float16, each behind a Cast to what the layer computes in."""
    layer = model.graph.node[-1]
    for index in (1, 2):
        tensor = next(t for t in model.graph.initializer if t.name == layer.input[index])
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
        cast = helper.make_node("Cast", [tensor.name], [f"{tensor.name}_wide"], to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
        layer.input[index] = f"{tensor.name}_wide"
    onnx.checker.check_model(model, full_check=True)
    return model


def operators(model, folder, *, per_channel=True):
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        str(folder / "float.onnx"),
        str(folder / "operators.onnx"),
        Calibration(),
        quant_format=QuantFormat.QOperator,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    return onnx.load(folder / "operators.onnx")


def dynamic(model, folder, *, per_channel=True):
    onnx.save(model, folder / "float.onnx")
    quantize_dynamic(
        str(folder / "float.onnx"), str(folder / "d.onnx"), weight_type=QuantType.QUInt8, per_channel=per_channel
    )
    return onnx.load(folder / "d.onnx")


def build(kind, folder):
    match kind:
        case "conv":
            return conv_classifier()
        case "conv-add":
            return conv_classifier("add")
        case "conv-transposed":
            return conv_classifier("transpose")
        case "conv-u8":
            return quantized(conv_classifier(), folder, QuantType.QUInt8)
        case "conv-s8":
            return quantized(conv_classifier(), folder, QuantType.QInt8, SYMMETRIC)
        case "conv-operator":
            return operators(conv_classifier(), folder)
        case "conv-dynamic":
            return dynamic(conv_classifier(), folder)
        case "conv-float16":
            return to_float16(conv_classifier())
        case "gemm-float16":
            return to_float16(gemm_classifier())
        case "gemm-cast":
            return with_cast_weights(gemm_classifier())
        case "gemm-operator":
            return operators(gemm_classifier(), folder)
        case "gemm-operator-per-tensor":
            return operators(gemm_classifier(), folder, per_channel=False)
        case "matmul-operator":
            return operators(matmul_classifier(), folder)
        case "gemm-dynamic":
            return dynamic(gemm_classifier(), folder)
        case "matmul-dynamic":
            return dynamic(matmul_classifier(), folder, per_channel=False)
