"""Every scheme's file against the float model, against each other, and against other readers of the formats."""

from __future__ import annotations

import numpy as np
import pytest

from converters.schemes.table import RECIPES
from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.errors import EdgeCnnError, ModelError
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.verify.sqnr import sqnr_db

LEAST_DB = {
    "float32": 100,
    "float16": 50,
    "dynamic-int8": 30,
    "int8-weights": 35,
    "int8": 25,
    "int8-uint8io": 25,
    "int8-floatio": 25,
    "int8-per-tensor": 25,
    "int8-qdq-int8": 25,
    "int8-symmetric": 20,
    "qoperator-int8": 25,
    "int16x8": 35,
    "int4-weights": 8,
}
"""SQNR in dB of the probabilities against float, by scheme; about 6 below what the small model was seen to have."""


def outputs(artifact: Artifact, inputs: np.ndarray, runtime: str) -> np.ndarray:
    opened = open_runtime(artifact, runtime)
    entry, end = opened.inputs[0], opened.outputs[0]
    if artifact.format == ONNX:
        inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    if entry.quantization is not None:
        inputs = quantize(inputs, entry.quantization, entry.numpy_dtype)
    (found,) = opened.run([inputs])
    return found if end.quantization is None else dequantize(found, end.quantization)


@pytest.mark.parametrize(("format", "scheme"), RECIPES)
def test_a_file_is_as_near_to_the_float_model_as_its_codes_allow(make, small, format, scheme):
    source, inputs = small
    found = outputs(make(format, scheme), inputs[100:], "litert-ref" if format == TFLITE else "onnxruntime")
    assert sqnr_db(source.predict(inputs[100:]), found) >= LEAST_DB[scheme]


@pytest.mark.parametrize(("format", "scheme"), RECIPES)
def test_every_file_opens_as_a_classifier_and_its_head_comes_out(make, small, format, scheme, tmp_path):
    artifact = make(format, scheme)
    path = tmp_path / artifact.name
    path.write_bytes(artifact.data)
    classifier = open_classifier(path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 10, 3), np.uint8)
    assert classifier.predict(pixels).scores.shape == (2, 8)
    graph = small[0].float_graph
    weights = graph.constant(graph.layers[-1].weights)
    assert sqnr_db(weights, split_head(artifact).head.weights) > (10 if scheme == "int4-weights" else 30)


def test_other_ends_change_no_code(make, small):
    inputs = small[1][100:]
    wanted = outputs(make(TFLITE, "int8"), inputs, "litert-ref")
    for scheme in ("int8-uint8io", "int8-floatio"):
        np.testing.assert_array_equal(outputs(make(TFLITE, scheme), inputs, "litert-ref"), wanted)


def test_the_int8_file_has_the_codes_and_scales_of_tensorflows_own_conversion(small, make):
    """Its calibrator shares no code with ours. It takes the sum for the range of an addend, whose memory ADD reuses, so
    inputs of ADD are held against TensorFlow's operators instead.
    """
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    from converters.converter_output import silent_step
    from converters.float_graph.float_graph import FloatGraph
    from converters.float_graph.tensorflow_graph import forward

    source, inputs = small
    with silent_step("converting"):
        concrete = source.function.get_concrete_function(tf.TensorSpec((1, 12, 10, 3), tf.float32))
        module = tf.Module()
        module.kept = list(concrete.variables)  # type: ignore[attr-defined]
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample[None]] for sample in inputs[:100])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        theirs = FloatGraph(bytes(converter.convert()))
    ours = FloatGraph(make(TFLITE, "int8").data)
    seen: dict[str, tuple[float, float]] = {}
    graph = source.float_graph
    forward(graph, on_activation=lambda i, v: seen.setdefault(graph.tensors[i].name, (np.min(v), np.max(v))) and v)(
        inputs[:100]
    )
    addends = {i for operator in ours.operators if operator.op == "ADD" for i in operator.inputs}
    tensors = schema.ModelT.InitFromPackedBuf(ours.data, 0).subgraphs[0].tensors
    compared = 0
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        np.testing.assert_array_equal(ours.constant(mine.weights), theirs.constant(other.weights))
        scales = [
            schema.ModelT.InitFromPackedBuf(g.data, 0).subgraphs[0].tensors[layer.output].quantization.scale[0]
            for g, layer in ((ours, mine), (theirs, other))
        ]
        if mine.output not in addends:
            np.testing.assert_allclose(*scales, rtol=1e-5)
            compared += 1
            continue
        low, high = seen[mine.name]
        np.testing.assert_allclose(tensors[mine.output].quantization.scale[0], (high - low) / 255, rtol=0.01)
    assert compared >= 2


@pytest.mark.parametrize("scheme", ["float16", "dynamic-int8", "int8", "int8-qdq-int8", "int8-symmetric"])
def test_the_reference_evaluator_agrees_with_onnx_runtime(make, small, scheme):
    import onnx
    from onnx.reference import ReferenceEvaluator

    artifact = make(ONNX, scheme)
    proto = onnx.ModelProto.FromString(artifact.data)
    # The evaluator's oldest QuantizeLinear; for these types nothing changed since 13.
    proto.opset_import[0].version = 19
    inputs = small[1][100:102]
    evaluator = ReferenceEvaluator(proto)
    # One at a time: a dynamic range is that of the batch.
    wanted = [evaluator.run(None, {"input": x[None].transpose(0, 3, 1, 2)})[0] for x in inputs]
    found = [outputs(artifact, x[None], "onnxruntime") for x in inputs]
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(wanted), atol=0.02)


def test_dynamic_onnx_depends_on_the_batch_and_a_tflite_does_not(make, small):
    inputs = np.concatenate([small[1][100:101], 20 * small[1][101:102]])
    alone, beside = (outputs(make(ONNX, "dynamic-int8"), batch, "onnxruntime")[0] for batch in (inputs[:1], inputs))
    assert np.abs(alone - beside).max() > 0
    alone, beside = (outputs(make(TFLITE, "dynamic-int8"), batch, "litert-ref")[0] for batch in (inputs[:1], inputs))
    np.testing.assert_array_equal(alone, beside)


@pytest.mark.parametrize(
    "scheme", ["int8", "int8-per-tensor", "int4-weights", "dynamic-int8", "float16", "int8-weights"]
)
def test_layers_left_in_float_keep_their_weights_and_bring_the_file_nearer(make, small, scheme):
    source, inputs = small
    graph = source.float_graph
    names = tuple(layer.name for layer in graph.layers)
    wanted = source.predict(inputs[100:])
    some, all_but_none = (
        sqnr_db(wanted, outputs(make(TFLITE, scheme, n), inputs[100:], "litert")) for n in ((), names)
    )
    assert all_but_none > some


@pytest.mark.parametrize("scheme", ["int8", "qoperator-int8", "dynamic-int8"])
def test_onnx_nodes_left_in_float_stay_what_they_are(make, scheme):
    import onnx

    floats = onnx.ModelProto.FromString(make(ONNX, "float32").data)
    node = next(n for n in floats.graph.node if n.op_type == "Conv")
    kept = onnx.ModelProto.FromString(make(ONNX, scheme, (node.name,)).data)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in kept.graph.initializer}
    (same,) = [n for n in kept.graph.node if n.name == node.name]
    assert weights[same.input[1]].dtype == np.float32


@pytest.mark.parametrize(("format", "scheme"), [key for key in RECIPES if key[1] != "float32"])
def test_a_name_that_is_not_in_the_graph_is_told_in_one_line(make, format, scheme):
    with pytest.raises(EdgeCnnError, match="'nowhere'") as error:
        make(format, scheme, ("nowhere",))
    assert "\n" not in str(error.value)


def test_a_constant_beyond_float16_is_refused(small):
    from converters.schemes.tflite_float16 import to_float16

    graph = small[0].float_graph
    bias = graph.layers[0].bias
    large = graph.with_constants({bias: graph.constant(bias) + np.float32(1e5)})
    with pytest.raises(ModelError, match="float16 ends at 65504"):
        to_float16(large)
