"""What stands in the files: codes, scales, operator versions, sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.packing import pack
from converters.schemes.table import RECIPES
from converters.schemes.tflite_int4_weights import INT4_OPERATORS
from converters.schemes.weight_quantizer import quantize_weights
from edge_cnn.core.artifact import TFLITE
from edge_cnn.device.tflite.file import op_versions, read_tflite
from edge_cnn.device.tflite.int4_codes import INT4_LIMIT, pack_int4, unpack_int4

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


def min_runtime(data: bytes) -> str:
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (entry,) = [m for m in model.metadata if m.name == b"min_runtime_version"]
    return bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()


@given(arrays.arrays(np.int8, st.integers(1, 41), elements=st.integers(-8, 7)))
@settings(max_examples=50, deadline=None)
def test_int4_codes_come_back_from_their_bytes(codes):
    packed = pack_int4(codes)
    assert len(packed) == (len(codes) + 1) // 2
    np.testing.assert_array_equal(unpack_int4(packed, len(codes)), codes)


def test_weights_get_the_codes_and_scales_of_tensorflows_quantizer(make, small):
    graph = small[0].float_graph
    theirs = FloatGraph(make(TFLITE, "int8").data)
    model = schema.ModelT.InitFromPackedBuf(theirs.data, 0)
    for ours, layer in zip(graph.layers, theirs.layers, strict=True):
        weights = quantize_weights(graph.constant(ours.weights), ours.channel_axis, 127)
        np.testing.assert_array_equal(weights.codes, theirs.constant(layer.weights))
        stored = model.subgraphs[0].tensors[layer.weights].quantization
        np.testing.assert_array_equal(weights.scales, stored.scale)
        assert weights.axis == stored.quantizedDimension


@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 127]), st.sampled_from([None, 0, 3]))
@settings(max_examples=50, deadline=None)
def test_fake_quantized_weights_keep_their_codes(seed, limit, axis):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-limit, limit + 1, (4, 3, 3, 5))
    codes[:, 0, 0, :] = limit
    count = 1 if axis is None else codes.shape[axis]
    scales = rng.uniform(1e-5, 1, count).astype(np.float32)
    along = scales.reshape([-1 if i == axis else 1 for i in range(4)])
    found = quantize_weights((codes * along).astype(np.float32), axis, limit)
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_allclose(found.scales, scales, rtol=1e-6)


def test_int4_files_hold_int4_where_kernels_take_it_and_int8_elsewhere(make):
    graph = read_tflite(make(TFLITE, "int4-weights")).main
    held = {
        (op.name, graph.tensors[op.inputs[1]].dtype, len(graph.tensors[op.inputs[1]].quantization.scales))
        for op in graph.operators
        if op.name in INT4_OPERATORS | {"DEPTHWISE_CONV_2D"}
    }
    assert held == {
        ("CONV_2D", "int4", 16),
        ("DEPTHWISE_CONV_2D", "int8", 16),
        ("FULLY_CONNECTED", "int4", 1),
    }


def test_int4_biases_are_worth_what_products_are(make, small):
    graph, model = small[0].float_graph, schema.ModelT.InitFromPackedBuf(make(TFLITE, "int4-weights").data, 0)
    tensors, names = model.subgraphs[0].tensors, {o.name.encode(): o for o in graph.layers}
    seen = 0
    for operator in model.subgraphs[0].operators:
        layer = names.get(tensors[operator.outputs[0]].name)
        if layer is None:
            continue
        entry, weights, bias = (tensors[i] for i in operator.inputs[:3])
        scales = entry.quantization.scale[0] * weights.quantization.scale
        np.testing.assert_allclose(bias.quantization.scale, scales, rtol=1e-6)
        codes = np.frombuffer(bytes(model.buffers[bias.buffer].data), np.int32)
        assert np.all(np.abs(codes * scales - graph.constant(layer.bias)) <= 0.51 * scales)
        seen += 1
    assert seen == len(graph.layers)


@pytest.mark.parametrize(
    ("scheme", "versions", "runtime"),
    [
        ("float16", {("DEQUANTIZE", 3), ("CONV_2D", 1)}, "1.15.0"),
        ("dynamic-int8", {("CONV_2D", 5), ("DEPTHWISE_CONV_2D", 6), ("FULLY_CONNECTED", 3)}, "2.4.0"),
        ("int8-weights", {("DEQUANTIZE", 5), ("CONV_2D", 1)}, "2.7.0"),
        ("int8", {("CONV_2D", 3), ("DEPTHWISE_CONV_2D", 3), ("FULLY_CONNECTED", 4)}, "1.14.0"),
        ("int8-floatio", {("QUANTIZE", 1), ("DEQUANTIZE", 2)}, "1.14.0"),
        ("int16x8", {("CONV_2D", 4), ("DEPTHWISE_CONV_2D", 5), ("FULLY_CONNECTED", 7), ("SOFTMAX", 3)}, "2.4.0"),
        ("int4-weights", {("CONV_2D", 7), ("DEPTHWISE_CONV_2D", 3), ("FULLY_CONNECTED", 10)}, "2.11.0"),
    ],
)
def test_files_say_which_runtime_they_need(make, scheme, versions, runtime):
    artifact = make(TFLITE, scheme)
    assert {(name, version) for name, version, _ in op_versions(artifact)} >= versions
    assert min_runtime(artifact.data) == runtime


@pytest.mark.parametrize("scheme", ["float32", "int8", "int8-per-tensor", "int8-uint8io", "int8-floatio", "float16"])
def test_versions_are_those_of_tensorflows_own_versioning(make, scheme):
    """Its converter reads a file whose versions were wiped out, changes nothing else, and writes its own."""
    from converters.converter_output import silent_step

    artifact = make(TFLITE, scheme)
    model = schema.ModelT.InitFromPackedBuf(artifact.data, 0)
    for code in model.operatorCodes:
        code.version = 1
    with silent_step("versions"):
        from tensorflow.lite.python.convert import mlir_sparsify

        written = bytes(mlir_sparsify(pack(model)))
    theirs = schema.ModelT.InitFromPackedBuf(written, 0).operatorCodes
    ours = schema.ModelT.InitFromPackedBuf(artifact.data, 0).operatorCodes
    assert {(c.builtinCode, c.version) for c in ours} == {(c.builtinCode, c.version) for c in theirs}
    assert min_runtime(written) == min_runtime(artifact.data)


def test_files_shrink_with_their_codes(make):
    size = {scheme: len(make(TFLITE, scheme).data) for kind, scheme in RECIPES if kind == TFLITE}
    assert size["int4-weights"] < size["int8"] < size["float16"] < size["float32"]
    assert size["dynamic-int8"] < size["float16"]


def test_the_same_model_and_samples_give_the_same_bytes(make, small):
    from converters.calibration.samples import Calibration

    source, inputs = small
    for (kind, scheme), recipe in RECIPES.items():
        again = recipe.convert(source, Calibration(inputs[:100].copy(), "min-max"))
        assert again == make(kind, scheme).data, scheme


def test_zero_weights_have_a_scale_and_no_nan():
    found = quantize_weights(np.zeros((3, 2), np.float32), 0, INT4_LIMIT)
    assert not found.codes.any()
    assert np.all(found.scales > 0)
    assert np.isfinite(found.floats()).all()
