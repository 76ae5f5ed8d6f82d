import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_cnn.core.quantization import QuantizationParams, dequantize, quantize


def test_codes_follow_the_onnx_reference_evaluator():
    onnx = pytest.importorskip("onnx", reason="the oracle is the onnx package of the host extra")
    from onnx.reference import ReferenceEvaluator

    graph = onnx.parser.parse_graph("""
        g (float[n] x, float s, int8 z) => (int8[n] y) { y = QuantizeLinear(x, s, z) }
    """)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    values = np.linspace(-20, 20, 1001, dtype=np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": values, "s": np.float32(0.125), "z": np.int8(7)})
    np.testing.assert_array_equal(quantize(values, QuantizationParams((0.125,), (7,)), np.dtype(np.int8)), expected)


@settings(deadline=None)
@given(st.floats(-100, 100), st.integers(-128, 127), st.floats(0.01, 10))
def test_a_value_within_the_range_comes_back_within_half_a_step(value, zero_point, scale):
    params = QuantizationParams((float(np.float32(scale)),), (zero_point,))
    low, high = (-128 - zero_point) * params.scale, (127 - zero_point) * params.scale
    value = min(max(value, low), high)
    codes = quantize(np.array([value]), params, np.dtype(np.int8))
    assert abs(dequantize(codes, params)[0] - value) <= params.scale * 0.5001 + 1e-5


def test_values_beyond_the_range_saturate():
    params = QuantizationParams((1.0,), (0,))
    np.testing.assert_array_equal(
        quantize(np.array([-1e9, 1e9]), params, np.dtype(np.int8)), np.array([-128, 127], np.int8)
    )


def test_each_channel_has_its_own_scale():
    params = QuantizationParams((1.0, 0.5), (0, 0), axis=0)
    codes = np.array([[2, 4], [2, 4]], np.int8)
    np.testing.assert_array_equal(dequantize(codes, params), np.array([[2, 4], [1, 2]], np.float32))


def test_int8_minus_zero_point_does_not_overflow():
    params = QuantizationParams((1.0,), (127,))
    assert dequantize(np.array([-128], np.int8), params)[0] == -255


def test_json_brings_the_same_parameters_back():
    params = QuantizationParams((float(np.float32(0.1)), 2.0), (3, 4), axis=1)
    assert QuantizationParams.from_json(params.to_json()) == params
