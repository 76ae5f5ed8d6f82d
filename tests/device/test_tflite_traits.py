"""Files that some runtimes compute otherwise; the weight-only one is made with LiteRT's own schema classes."""

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.runtimes.runtime_check import known_wrong
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.fixed_shapes import with_fixed_shapes
from edge_cnn.device.tflite.traits import has_per_channel_dequantize, is_hybrid

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weight_only(tflite_models):
    """The float network with the int8 weights of its first layer behind a DEQUANTIZE, a scale a channel."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite_models["float32"].data, 0))
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 2
    model.operatorCodes.append(code)
    convolution = next(op for op in graph.operators if len(op.inputs) == 3)
    weights = graph.tensors[convolution.inputs[1]]
    values = np.frombuffer(bytes(model.buffers[weights.buffer].data), np.float32).reshape(weights.shape)
    # Very different ranges, so that taking the first scale for all is garbage.
    scales = np.abs(values).reshape(len(values), -1).max(axis=1) / 127 * np.array([1, 2, 4, 8], np.float32)
    stored = schema.TensorT()
    stored.name, stored.shape, stored.type = b"weights_int8", list(weights.shape), schema.TensorType.INT8
    stored.quantization = schema.QuantizationParametersT()
    stored.quantization.scale = scales.astype(np.float32)
    stored.quantization.zeroPoint = np.zeros(len(scales), np.int64)
    stored.quantization.quantizedDimension = 0
    buffer = schema.BufferT()
    buffer.data = np.rint(values / scales[:, None, None, None]).astype(np.int8).view(np.uint8).ravel()
    model.buffers.append(buffer)
    stored.buffer = len(model.buffers) - 1
    graph.tensors.append(stored)
    weights.buffer = 0
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [len(graph.tensors) - 1], [int(convolution.inputs[1])]
    graph.operators.insert(0, operator)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return Artifact("weight-only.tflite", "tflite", bytes(builder.Output()))


def test_files_with_float_activations_and_integer_weights_are_told(tflite_models):
    assert {name for name, artifact in tflite_models.items() if is_hybrid(artifact)} == {"hybrid"}


def test_weights_behind_a_dequantize_with_a_scale_a_channel_are_told(tflite_models, weight_only):
    assert has_per_channel_dequantize(weight_only)
    assert not is_hybrid(weight_only)
    # "float-io" has a DEQUANTIZE too, of its outputs.
    assert not any(has_per_channel_dequantize(artifact) for artifact in tflite_models.values())
    assert known_wrong(weight_only, "tflm").startswith("known wrong: DEQUANTIZE")
    assert known_wrong(weight_only, "litert") is None
    assert known_wrong(tflite_models["int8"], "tflm") is None


def test_tflite_micro_would_be_silently_wrong_and_so_is_refused(ready_device, weight_only, tmp_path):
    device = ready_device("tflm")
    with pytest.raises(ModelError, match="known wrong: DEQUANTIZE with a scale a channel"):
        device.open(weight_only, "tflm")
    # That it would be: its own interpreter, asked in its own environment, against LiteRT.
    samples = np.random.default_rng(2).random((8, 12, 12, 1), np.float32)
    (tmp_path / "m.tflite").write_bytes(weight_only.data)
    np.save(tmp_path / "x.npy", samples)
    code = (
        "import sys, numpy as np; from tflite_micro.python.tflite_micro import runtime\n"
        "m = runtime.Interpreter.from_file('m.tflite', arena_size=2**20); y = []\n"
        "for x in np.load('x.npy'): m.set_input(x[None], 0); m.invoke(); y.append(m.get_output(0).copy())\n"
        "np.save('y.npy', np.concatenate(y))\n"
    )
    import subprocess

    subprocess.run([device.python[0], "-c", code], cwd=tmp_path, check=True, capture_output=True)
    right = open_runtime(weight_only, "litert-ref").run([samples])[0]
    assert np.abs(np.load(tmp_path / "y.npy") - right).max() > 0.01


def test_tosa_computes_weight_only_files_rightly(ready_device, weight_only):
    samples = np.random.default_rng(2).random((8, 12, 12, 1), np.float32)
    (there,) = ready_device("tosa").open(weight_only, "tosa-ref").run([samples])
    np.testing.assert_allclose(there, open_runtime(weight_only, "litert-ref").run([samples])[0], atol=1e-6)


def test_a_file_with_fixed_shapes_computes_the_same(tflite_models):
    dynamic = tflite_models["int8"]
    fixed = with_fixed_shapes(dynamic)
    assert any(-1 in tensor.shape_signature for tensor in read_tflite(dynamic).main.tensors)
    assert not any(-1 in tensor.shape_signature for tensor in read_tflite(fixed).main.tensors)
    assert len(fixed.data) == len(dynamic.data)
    codes = np.random.default_rng(3).integers(-128, 128, (20, 12, 12, 1), np.int8)
    np.testing.assert_array_equal(
        open_runtime(fixed, "litert-ref").run([codes])[0], open_runtime(dynamic, "litert-ref").run([codes])[0]
    )
