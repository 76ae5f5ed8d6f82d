"""Heads of other kinds than a Dense layer with stored 8-bit or float32 weights: 1x1 convolutions, float16, weights
behind a DEQUANTIZE."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import read_artifact
from edge_cnn.core.errors import ModelError, NoHeadError
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.head import merge_tflite_head, split_tflite_head, tflite_has_softmax
from tests.device.tflite_kinds import CLASSES, CONVOLUTIONS, FEATURES, FLOAT16, INTEGER, KINDS, last_operator
from tests.device.tflite_oracle import (
    MLPERF,
    changed,
    check_error_bound,
    check_other_bytes,
    check_split,
    merged_with,
    real,
    run,
    run_in_old_runtime,
    samples,
    schema,
)


@pytest.mark.parametrize("name", KINDS)
def test_the_parts_compute_what_the_whole_file_computes(kinds, name):
    check_split(kinds[name])


@pytest.mark.parametrize("name", KINDS)
def test_every_byte_outside_of_the_head_stays_as_it_is(kinds, name):
    check_other_bytes(kinds[name])


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_of_one_vector_a_sample_is_a_dense_layer(kinds, name):
    info = split_tflite_head(kinds[name]).info
    assert (info.op, info.features, info.classes) == ("CONV_2D", FEATURES, CLASSES)
    assert (info.embedding.shape, info.logits.shape) == ((-1, FEATURES), (-1, CLASSES))


@pytest.mark.parametrize("name", INTEGER)
def test_the_logits_of_the_file_are_as_near_to_the_float_head_as_quantization_allows(kinds, name):
    check_error_bound(kinds[name])


@pytest.mark.parametrize("name", KINDS)
def test_the_weights_keep_type_and_granularity(kinds, name):
    before, after = (split_tflite_head(a).info for a in (kinds[name], merged_with(kinds[name])[0]))
    stored = name.split("-")[1]
    types = {"hybrid": "int8", "weight": "int8"}
    assert before.weights_dtype == after.weights_dtype == types.get(stored, stored)
    scales = {"float32": None, "float16": None, "uint8": 1}.get(stored, CLASSES)
    for info in (before, after):
        assert (info.weights_quantization and len(info.weights_quantization.scales)) == scales


@pytest.mark.parametrize("name", KINDS)
def test_a_written_head_reaches_the_output_of_the_whole_file(kinds, name):
    merged, head, embeddings, inputs = merged_with(kinds[name])
    logits = head.logits(embeddings)
    expected = logits
    if tflite_has_softmax(merged):
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tolerance = 1e-5 if name == "conv-float32" else 2e-3 if "float16" in name else 0.02 * np.ptp(logits)
    for reference in (True, False):
        answers = real(run(merged.data, inputs, reference=reference), read_tflite(merged).outputs[0])
        np.testing.assert_allclose(answers, expected, atol=tolerance)


@pytest.mark.parametrize("name", FLOAT16)
def test_float16_files_hold_the_head_rounded_to_float16(kinds, name):
    merged, head, _, _ = merged_with(kinds[name])
    tree = schema.ModelT.InitFromPackedBuf(merged.data, 0)
    halves = [
        tree.buffers[t.buffer].data.view(np.float16)
        for t in tree.subgraphs[0].tensors
        if t.type == schema.TensorType.FLOAT16
    ]
    assert any(np.array_equal(h, head.weights.astype(np.float16).reshape(-1)) for h in halves)
    assert any(np.array_equal(h, head.bias.astype(np.float16)) for h in halves)


@pytest.mark.parametrize("name", FLOAT16)
def test_a_head_beyond_float16_is_refused(kinds, name):
    head = split_tflite_head(kinds[name]).head
    with pytest.raises(ModelError, match="goes beyond the range"):
        merge_tflite_head(kinds[name], SoftmaxHead(head.weights + np.float32(70000), head.bias), (-1.0, 1.0))


@pytest.mark.parametrize("name", [*FLOAT16, "dense-weight-only"])
def test_what_widened_the_weights_is_not_run_before_the_embedding(kinds, name):
    whole, backbone = (read_tflite(a).main for a in (kinds[name], split_tflite_head(kinds[name]).backbone))
    widening = [op for op in whole.operators if op.name == "DEQUANTIZE"]
    dropped = 1 if name == "dense-weight-only" else 2
    assert len([op for op in backbone.operators if op.name == "DEQUANTIZE"]) == len(widening) - dropped


def add_shape_of(tree: Any, tensor: int, place: int) -> int:
    """A new SHAPE operator; returns the index of its output."""
    graph = tree.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SHAPE
    code.version = 1
    tree.operatorCodes.append(code)
    output = schema.TensorT()
    output.name, output.shape = b"its shape", [len(graph.tensors[tensor].shape)]
    output.type, output.buffer = schema.TensorType.INT32, 0
    graph.tensors.append(output)
    operator = schema.OperatorT()
    operator.builtinOptionsType = schema.BuiltinOptions.ShapeOptions
    operator.builtinOptions = schema.ShapeOptionsT()
    operator.builtinOptions.outType = schema.TensorType.INT32
    operator.opcodeIndex = len(tree.operatorCodes) - 1
    operator.inputs, operator.outputs = [tensor], [len(graph.tensors) - 1]
    graph.operators.insert(place, operator)
    return len(graph.tensors) - 1


def reshape_by_the_shape_of_the_logits(tree: Any) -> None:
    """RESHAPE(x, SHAPE(x)), the shortest form of what converters write for a dynamic batch."""
    graph = tree.subgraphs[0]
    reshape = last_operator(tree, schema.BuiltinOperator.RESHAPE)
    place = graph.operators.index(reshape)
    logits = reshape.inputs[0]
    shape = add_shape_of(tree, logits, place)
    reshape.inputs = [logits, shape]
    reshape.builtinOptionsType, reshape.builtinOptions = schema.BuiltinOptions.NONE, None
    for index in reshape.outputs:
        graph.tensors[index].shape = graph.tensors[logits].shape


def test_a_reshape_that_computes_its_shape_from_the_logits_belongs_to_the_tail(kinds):
    artifact = changed(kinds["conv-int8"], reshape_by_the_shape_of_the_logits)
    names = [op.name for op in read_tflite(artifact).main.operators]
    assert "SHAPE" in names[-3:]
    check_split(artifact)
    check_error_bound(artifact)
    for part in (split_tflite_head(artifact).backbone, split_tflite_head(artifact).logits_view):
        assert "SHAPE" not in [op.name for op in read_tflite(part).main.operators]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda op, _: setattr(op.builtinOptions, "fusedActivationFunction", 3), "has the activation RELU6"),
        (lambda op, t: setattr(t[op.inputs[1]], "shape", [CLASSES, 2, 1, FEATURES // 2]), "its kernel is 2x1"),
        (lambda op, t: setattr(t[op.inputs[0]], "shape", [1, 3, 3, FEATURES]), "more than one vector of 128 values"),
        (lambda op, t: setattr(t[op.inputs[0]], "type", schema.TensorType.INT16), "it has int16 embeddings"),
    ],
)
def test_a_convolution_that_is_no_dense_layer_is_no_head(kinds, change, message):
    def spoil(tree: Any) -> None:
        change(last_operator(tree, schema.BuiltinOperator.CONV_2D), tree.subgraphs[0].tensors)

    with pytest.raises(NoHeadError, match=rf"the graph ends with a CONV_2D layer .* cannot be tuned: .*{message}"):
        split_tflite_head(changed(kinds["conv-int8"], spoil))


def test_widened_weights_that_another_layer_reads_too_are_not_changed(kinds):
    def read_twice(tree: Any) -> None:
        dense = last_operator(tree, schema.BuiltinOperator.FULLY_CONNECTED)
        add_shape_of(tree, dense.inputs[1], len(tree.subgraphs[0].operators))

    artifact = changed(kinds["dense-float16"], read_twice)
    check_split(artifact)
    with pytest.raises(ModelError, match="is read by SHAPE"):
        merged_with(artifact)


def test_the_new_files_run_in_the_older_tflite_runtime(kinds, tmp_path):
    jobs: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for name in KINDS:
        if name == "dense-weight-only":  # It refuses a DEQUANTIZE with one scale a class, version 5.
            continue
        merged, head, embeddings, inputs = merged_with(kinds[name])
        view = split_tflite_head(merged)
        jobs[name] = (view.logits_view, inputs, "")
        wanted[name] = (view.info.logits, head.logits(embeddings))
    results = run_in_old_runtime(tmp_path, jobs)
    for name, (spec, logits) in wanted.items():
        for reference in (True, False):
            np.testing.assert_allclose(real(results[name, reference], spec), logits, atol=0.02 * np.ptp(logits))


@pytest.mark.parametrize("name", ["kws_ref_model_float32", "pretrainedResnet", "pretrainedResnet_quant"])
def test_real_models_made_unlike_each_other_are_taken_apart_and_put_together(name):
    if MLPERF is None:
        pytest.skip("the MLPerf Tiny models are not here; EDGE_CNN_DATA=FOLDER names where they are")
    artifact = read_artifact(MLPERF / f"{name}.tflite")
    check_split(artifact)
    check_other_bytes(artifact)


def test_random_inputs_reach_every_kind(kinds):
    """The checks above would be empty if an embedding were constant."""
    for name in KINDS:
        split = split_tflite_head(kinds[name])
        codes = run(split.backbone.data, samples(kinds[name]))
        assert np.ptp(codes.astype(float), axis=0).max() > 0
