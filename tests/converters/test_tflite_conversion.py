from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.schemes.tflite_float32 import convert_to_tflite_float32
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.sources.load import load_source_model
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.device.runtimes.table import open_runtime

schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")


@pytest.fixture(scope="module")
def source(tiny_folder: Path) -> SourceModel:
    return load_source_model(tiny_folder / "tiny.keras")


@pytest.fixture(scope="module")
def inputs(tiny_pixels: np.ndarray) -> np.ndarray:
    return tiny_pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


@pytest.fixture(scope="module")
def int8(source: SourceModel, inputs: np.ndarray) -> bytes:
    return convert_to_tflite_int8(source, Calibration(inputs))


def graph_of(model: bytes) -> tuple[Any, Any]:
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    return tree, tree.subgraphs[0]


def test_float_outputs_equal_those_of_keras(source: SourceModel, inputs: np.ndarray, tiny_keras: Any) -> None:
    runtime = open_runtime(Artifact("m.tflite", "tflite", convert_to_tflite_float32(source)), "litert")
    (output,) = runtime.run([inputs])
    assert np.abs(output - tiny_keras.predict(inputs, verbose=0)).max() < 1e-5


def test_int8_outputs_are_near_those_of_keras(int8: bytes, inputs: np.ndarray, tiny_keras: Any) -> None:
    runtime = open_runtime(Artifact("m.tflite", "tflite", int8), "litert-ref")
    (entry,), (end,) = runtime.inputs, runtime.outputs
    assert entry.quantization is not None
    assert end.quantization is not None
    (codes,) = runtime.run([quantize(inputs, entry.quantization, entry.numpy_dtype)])
    assert np.abs(dequantize(codes, end.quantization) - tiny_keras.predict(inputs, verbose=0)).max() < 0.05


def test_every_operator_of_the_int8_file_computes_in_int8_with_int32_bias(int8: bytes) -> None:
    tree, graph = graph_of(int8)
    codes = [c.builtinCode for c in tree.operatorCodes]
    operator = schema.BuiltinOperator
    assert {codes[op.opcodeIndex] for op in graph.operators} >= {operator.CONV_2D, operator.FULLY_CONNECTED}
    for op in graph.operators:
        constants_and_bias = {2} if codes[op.opcodeIndex] in (operator.CONV_2D, operator.FULLY_CONNECTED) else {1}
        for position, index in enumerate(op.inputs):
            expected = schema.TensorType.INT8
            if position in constants_and_bias and codes[op.opcodeIndex] != operator.ADD:
                expected = schema.TensorType.INT32  # a bias, or the shape of a RESHAPE
            assert graph.tensors[index].type == expected
        assert all(graph.tensors[i].type == schema.TensorType.INT8 for i in op.outputs)


def test_convolution_weights_have_a_scale_a_channel_and_zero_points_0(int8: bytes) -> None:
    tree, graph = graph_of(int8)
    codes = [c.builtinCode for c in tree.operatorCodes]
    weights = [
        graph.tensors[op.inputs[1]] for op in graph.operators if codes[op.opcodeIndex] == schema.BuiltinOperator.CONV_2D
    ]
    assert len(weights) == 2
    for tensor in weights:
        assert len(tensor.quantization.scale) == tensor.shape[0] == 8
        assert not np.any(tensor.quantization.zeroPoint)
        assert np.frombuffer(bytes(tree.buffers[tensor.buffer].data), np.int8).min() >= -127


def test_the_batch_is_one_and_flatten_needs_no_computed_shape(int8: bytes) -> None:
    tree, graph = graph_of(int8)
    assert list(graph.tensors[graph.inputs[0]].shape) == [1, 12, 10, 3]
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    used = {names[tree.operatorCodes[op.opcodeIndex].builtinCode] for op in graph.operators}
    assert used <= {"CONV_2D", "ADD", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"}


def test_the_input_range_comes_from_the_calibration_samples(source: SourceModel, inputs: np.ndarray) -> None:
    runtime = open_runtime(
        Artifact("m.tflite", "tflite", convert_to_tflite_int8(source, Calibration(np.maximum(inputs, 0) / 2)))
    )
    quantization = runtime.inputs[0].quantization
    assert quantization is not None
    assert quantization.scale * 255 == pytest.approx(0.5, rel=1e-3)
