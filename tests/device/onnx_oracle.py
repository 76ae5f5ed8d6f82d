"""What the tests of surgery on `.onnx` files judge by: the onnx package, ONNX Runtime and its quantizer."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge_cnn.core.quantization import dequantize
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.onnx.head import merge_onnx_head, split_onnx_head

CLASSES, FEATURES = 5, 12
X = np.random.default_rng(7).normal(size=(200, 1, 8, 8)).astype(np.float32)

SYMMETRIC = {"ActivationSymmetric": True, "QuantizeBias": False}


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def matmul_classifier():
    """As tf2onnx writes it: Transpose and Reshape before two layers of MatMul and Add, then Softmax."""
    rng = np.random.default_rng(1)

    def constant(name, *shape):
        return numpy_helper.from_array((rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["input", "conv_w", "conv_b"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Transpose", ["p"], ["t"], "transpose", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "shape"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "w1"], ["m1"], "dense/MatMul"),
        helper.make_node("Add", ["m1", "b1"], ["a1"], "dense/BiasAdd"),
        helper.make_node("Relu", ["a1"], ["embedding"], "dense/Relu"),
        helper.make_node("MatMul", ["embedding", "w2"], ["m2"], "head/MatMul"),
        helper.make_node("Add", ["m2", "b2"], ["logits"], "head/BiasAdd"),
        helper.make_node("Softmax", ["logits"], ["output"], "softmax"),
    ]
    initializers = [
        constant("conv_w", 4, 1, 3, 3),
        constant("conv_b", 4),
        numpy_helper.from_array(np.array([-1, 64], np.int64), "shape"),
        constant("w1", 64, FEATURES),
        constant("b1", FEATURES),
        constant("w2", FEATURES, CLASSES),
        constant("b2", CLASSES),
    ]
    return finished(nodes, initializers)


def gemm_classifier():
    """As PyTorch writes it: pooling and Flatten before a Gemm with transB, no softmax."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node("Conv", ["input", "conv_w"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "fc_w", "fc_b"], ["output"], "fc", transB=1),
    ]
    initializers = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in (("conv_w", (FEATURES, 1, 3, 3)), ("fc_w", (CLASSES, FEATURES)), ("fc_b", (CLASSES,)))
    ]
    return finished(nodes, initializers)


def finished(nodes, initializers):
    graph = helper.make_graph(
        nodes, "g", [value("input", ["n", 1, 8, 8])], [value("output", ["n", CLASSES])], initializers
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


class Calibration(CalibrationDataReader):
    def __init__(self):
        self.batches = iter([{"input": X[i : i + 10]} for i in range(0, len(X), 10)])

    def get_next(self):
        return next(self.batches, None)


def quantized(model, folder, activations, extra=None, *, per_channel=True, fused=True):
    path, out = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(model, path)
    if fused:
        quant_pre_process(str(path), str(folder / "fused.onnx"), skip_symbolic_shape=True)
        path = folder / "fused.onnx"
    quantize_static(
        str(path),
        str(out),
        Calibration(),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        extra_options=extra or {},
    )
    return out.read_bytes()


def run(data, inputs=X):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: inputs})


def real(codes, spec):
    return dequantize(codes, spec.quantization) if spec.quantization else codes


def with_output(data, spec):
    """The whole graph with one more output, made with the onnx package."""
    model = onnx.load_from_string(data)
    model.graph.output.append(value(spec.name, None, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))))
    return model.SerializeToString()


def random_head(seed, scale=0.5):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(CLASSES, FEATURES)) * scale * rng.uniform(0.2, 3, size=(CLASSES, 1))
    return SoftmaxHead(weights.astype(np.float32), rng.normal(size=CLASSES).astype(np.float32))


def merged_with(classifier, head):
    """The merged file, and the logits of the float head on the file's own embeddings."""
    split = split_onnx_head(classifier)
    embeddings = real(run(split.backbone.data)[0], split.info.embedding).astype(np.float64)
    wanted = head.logits(embeddings)
    return merge_onnx_head(classifier, head, (float(wanted.min()), float(wanted.max()))), wanted
