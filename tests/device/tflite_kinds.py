"""Small `.tflite` classifiers whose heads are of other kinds than a Dense layer with 8-bit or float32 weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import TFLITE, Artifact
from tests.device.tflite_oracle import changed, schema

CLASSES, FEATURES = 10, 128

CONVOLUTIONS = ["conv-float32", "conv-float16", "conv-hybrid", "conv-int8", "conv-int8-reshape", "conv-int8-no-softmax"]
CONVOLUTIONS += ["conv-uint8"]
FLOAT16 = ["conv-float16", "dense-float16"]
INTEGER = ["conv-int8", "conv-int8-reshape", "conv-int8-no-softmax", "conv-uint8"]
KINDS = [*CONVOLUTIONS, "dense-float16", "dense-weight-only"]


def convert_kinds() -> dict[str, Artifact]:
    """Networks for 8x8 gray images with random weights; "reshape" has a Reshape of a dynamic batch before softmax."""
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    layers = keras.layers
    keras.utils.set_random_seed(3)
    calibration = np.random.default_rng(3).random((20, 1, 8, 8, 1), np.float32)

    def network(last: str, *, tail: str = "reshape") -> Any:
        x = image = layers.Input((8, 8, 1))
        x = layers.Conv2D(FEATURES, 3, activation="relu")(x)
        x = layers.GlobalAveragePooling2D(keepdims=last == "conv")(x)
        if last == "conv":
            x = layers.Conv2D(CLASSES, 1, bias_initializer="normal", name="conv_preds")(x)
            x = layers.Flatten()(x) if tail == "flatten" else layers.Reshape((CLASSES,))(x)
        else:
            x = layers.Dense(CLASSES, bias_initializer="normal")(x)
        return keras.Model(image, x if tail == "none" else layers.Softmax()(x))

    def convert(model: Any, quantize: str = "") -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8":
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: ([sample] for sample in calibration)
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()

    conv, dense = network("conv"), network("dense")
    with warnings.catch_warnings():
        # The converter tells that it takes the quantization from the samples, and that it will move elsewhere.
        warnings.simplefilter("ignore")
        made = {
            "conv-float32": convert(conv),
            "conv-float16": convert(conv, "float16"),
            "conv-hybrid": convert(conv, "dynamic"),
            "conv-int8": convert(network("conv", tail="flatten"), "int8"),
            "conv-int8-reshape": convert(conv, "int8"),
            "conv-int8-no-softmax": convert(network("conv", tail="none"), "int8"),
            "dense-float16": convert(dense, "float16"),
            "dense-float32": convert(dense),
        }
    files = {name: Artifact(f"{name}.tflite", TFLITE, bytes(data)) for name, data in made.items()}
    files["conv-uint8"] = changed(files["conv-int8"], to_unsigned_head)
    files["dense-weight-only"] = changed(files["dense-float32"], to_weight_only)
    return files


def last_operator(tree: Any, builtin: int) -> Any:
    return [op for op in tree.subgraphs[0].operators if tree.operatorCodes[op.opcodeIndex].builtinCode == builtin][-1]


def to_unsigned_head(tree: Any) -> None:
    """The convolution and what follows it alone, in uint8 with one scale for all weights, as in 2018's MobileNetV1."""
    graph = tree.subgraphs[0]
    head = last_operator(tree, schema.BuiltinOperator.CONV_2D)
    graph.operators = graph.operators[graph.operators.index(head) :]
    graph.inputs = [head.inputs[0]]
    for signature in tree.signatureDefs:
        signature.inputs[0].tensorIndex = head.inputs[0]
    weights, bias = (graph.tensors[i] for i in head.inputs[1:])
    scales = np.asarray(weights.quantization.scale, np.float32)
    codes = tree.buffers[weights.buffer].data.view(np.int8).reshape(CLASSES, -1).astype(float)
    same = np.rint(codes * scales[:, None] / scales.max()).astype(np.int8)
    tree.buffers[weights.buffer].data = same.view(np.uint8).reshape(-1)
    weights.quantization.scale, weights.quantization.zeroPoint = [scales.max()], [0]
    bias.quantization.scale, bias.quantization.zeroPoint = [bias.quantization.scale[int(scales.argmax())]], [0]
    for tensor in graph.tensors:
        if tensor.type == schema.TensorType.INT8:
            tensor.type = schema.TensorType.UINT8
            tensor.quantization.zeroPoint = [z + 128 for z in tensor.quantization.zeroPoint]
            data = tree.buffers[tensor.buffer].data
            if data is not None and len(data):
                tree.buffers[tensor.buffer].data = np.asarray(data, np.uint8) ^ np.uint8(128)
    for code in tree.operatorCodes:
        code.version = 1


def to_weight_only(tree: Any) -> None:
    """int8 weights with one scale a class, made floats by a DEQUANTIZE before the layer reads them."""
    graph = tree.subgraphs[0]
    dense = last_operator(tree, schema.BuiltinOperator.FULLY_CONNECTED)
    floats = graph.tensors[dense.inputs[1]]
    values = tree.buffers[floats.buffer].data.view(np.float32).reshape(floats.shape)
    scales = np.abs(values).max(axis=1) / 127
    stored = schema.TensorT()
    vars(stored).update(vars(floats))
    stored.name, stored.type = b"weights as int8", schema.TensorType.INT8
    stored.quantization = schema.QuantizationParametersT()
    stored.quantization.scale, stored.quantization.zeroPoint = scales, np.zeros(CLASSES, np.int64)
    stored.quantization.quantizedDimension = 0
    tree.buffers[floats.buffer].data = np.rint(values / scales[:, None]).astype(np.int8).view(np.uint8).reshape(-1)
    graph.tensors.append(stored)
    floats.buffer = 0
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 5
    tree.operatorCodes.append(code)
    widen = schema.OperatorT()
    widen.opcodeIndex = len(tree.operatorCodes) - 1
    widen.inputs, widen.outputs = [len(graph.tensors) - 1], [dense.inputs[1]]
    graph.operators.insert(0, widen)
