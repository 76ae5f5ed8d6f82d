from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import TFLITE, Artifact, read_artifact
from edge_cnn.core.errors import EdgeCnnError, ModelError, NoHeadError
from edge_cnn.core.quantization import quantize
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.split_model import SplitModel
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.head import merge_tflite_head, split_tflite_head, tflite_has_softmax
from tests.device.tflite_oracle import (
    MLPERF,
    ROOT,
    changed,
    changed_bytes,
    check_error_bound,
    check_other_bytes,
    check_split,
    interpreters,
    merged_with,
    random_head,
    real,
    run,
    run_in_old_runtime,
    samples,
    schema,
)

DENSE = ["float32", "int8", "int8-per-tensor", "uint8-io", "float-io", "int16x8", "hybrid", "no-softmax"]
DENSE += ["no-softmax-uint8-io"]
INTEGER = ["int8", "int8-per-tensor", "uint8-io", "float-io", "no-softmax", "no-softmax-uint8-io"]
MLPERF_MODELS = ["pretrainedResnet_quant", "kws_ref_model", "ad01_int8", "pretrainedResnet", "ad01_fp32"]


# Taking apart


@pytest.mark.parametrize("name", [*DENSE, "no-bias"])
def test_the_backbone_gives_the_very_embeddings_of_the_whole_file(tflite_models, name):
    check_split(tflite_models[name])


@pytest.mark.parametrize("name", DENSE)
def test_a_signature_ends_where_the_graph_ends(tflite_models, name):
    split = split_tflite_head(tflite_models[name])
    for part, spec in ((split.backbone, split.info.embedding), (split.logits_view, split.info.logits)):
        runner = interpreters.Interpreter(model_content=part.data).get_signature_runner()
        (details,) = runner.get_output_details().values()
        assert details["name"] == spec.name


def test_the_operators_after_the_cut_are_gone(tflite_models):
    split = split_tflite_head(tflite_models["uint8-io"])
    whole, logits, backbone = (
        [op.name for op in read_tflite(a).main.operators]
        for a in (tflite_models["uint8-io"], split.logits_view, split.backbone)
    )
    assert whole[-3:] == ["FULLY_CONNECTED", "SOFTMAX", "QUANTIZE"]
    assert logits == whole[:-2]
    assert backbone == whole[:-3]


def test_a_view_of_the_logits_of_a_file_that_ends_with_them_is_the_file(tflite_models):
    assert split_tflite_head(tflite_models["no-softmax"]).logits_view.data == tflite_models["no-softmax"].data


def test_only_output_signature_and_operator_vector_differ_from_the_file(tflite_models):
    artifact = tflite_models["int8"]
    tree = schema.Model.GetRootAs(artifact.data)
    graph, signature = tree.Subgraphs(0), tree.SignatureDefs(0).Outputs(0)
    operators = graph._tab.Vector(graph._tab.Offset(10))
    outputs = graph._tab.Vector(graph._tab.Offset(8))
    index = signature._tab.Offset(6) + signature._tab.Pos
    allowed = set(range(operators - 4, operators)) | set(range(outputs, outputs + 4)) | set(range(index, index + 4))
    for part in (split_tflite_head(artifact).backbone, split_tflite_head(artifact).logits_view):
        assert changed_bytes(artifact, part) <= allowed


@pytest.mark.parametrize("name", DENSE)
def test_the_head_in_real_values_computes_the_logits_of_the_file(tflite_models, name):
    artifact = tflite_models[name]
    split, inputs = split_tflite_head(artifact), samples(artifact)
    embeddings = real(run(split.backbone.data, inputs), split.info.embedding)
    expected = split.head.logits(embeddings)
    codes = run(split.logits_view.data, inputs)
    spec = split.info.logits
    if name == "hybrid":  # The kernel rounds each embedding to 8 bits before it multiplies.
        bound = np.abs(embeddings).max() / 254 * np.abs(split.head.weights).sum(axis=1).max()
        assert np.abs(codes - expected).max() <= bound
    elif spec.quantization is None:
        np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-5)
    else:
        # Random inputs go beyond the calibrated range, where the file saturates.
        assert np.abs(codes.astype(int) - quantize(expected, spec.quantization, spec.numpy_dtype)).max() <= 1


def test_the_description_of_the_head_tells_widths_and_quantization(tflite_models):
    per_channel, per_tensor = (split_tflite_head(tflite_models[n]).info for n in ("int8", "int8-per-tensor"))
    assert (per_channel.op, per_channel.features, per_channel.classes) == ("FULLY_CONNECTED", 128, 10)
    assert per_channel.weights_dtype == "int8"
    assert per_channel.weights_quantization is not None
    assert per_channel.weights_quantization.axis == 0
    assert len(per_channel.weights_quantization.scales) == 10
    assert per_tensor.weights_quantization is not None
    assert per_tensor.weights_quantization.axis is None
    assert per_channel.embedding.shape == (-1, 128)
    assert per_channel.logits.shape == (-1, 10)
    floats = split_tflite_head(tflite_models["float32"]).info
    assert (floats.weights_dtype, floats.weights_quantization) == ("float32", None)


def test_a_softmax_at_the_end_is_seen_through_what_follows_it(tflite_models):
    with_softmax = {name for name, artifact in tflite_models.items() if tflite_has_softmax(artifact)}
    assert with_softmax == set(tflite_models) - {"no-softmax", "no-softmax-uint8-io"}


# Writing back


@pytest.mark.parametrize("name", DENSE)
def test_every_byte_outside_of_the_head_stays_as_it_is(tflite_models, name):
    check_other_bytes(tflite_models[name])


@pytest.mark.parametrize("name", INTEGER)
def test_the_reference_kernels_compute_what_integer_arithmetic_gives(tflite_models, name):
    merged, _, _, inputs = merged_with(tflite_models[name])
    split = split_tflite_head(merged)
    assert split.info.weights_quantization is not None
    assert split.info.embedding.quantization is not None
    assert split.info.logits.quantization is not None
    embedding, logits = split.info.embedding.quantization, split.info.logits.quantization
    # Codes of the file by the schema's code; the sum of products in integers, scaled as in Jacob et al. 2018, eq. 7.
    tree = schema.ModelT.InitFromPackedBuf(merged.data, 0)
    dense = [op for op in tree.subgraphs[0].operators if len(op.inputs) == 3 and op.builtinOptionsType == 8][-1]
    weights, bias = (tree.subgraphs[0].tensors[i] for i in dense.inputs[1:])
    weight_codes = tree.buffers[weights.buffer].data.view(np.int8).reshape(weights.shape).astype(np.int64)
    bias_codes = tree.buffers[bias.buffer].data.view(np.int32)
    codes = run(split.backbone.data, inputs).astype(np.int64)
    sums = (codes - embedding.zero_point) @ weight_codes.T + bias_codes
    scaled = sums * (embedding.scale * weights.quantization.scale.astype(np.float64) / logits.scale)
    expected = np.clip(np.floor(scaled + 0.5) + logits.zero_point, -128, 127)
    np.testing.assert_array_equal(run(split.logits_view.data, inputs), expected)


@pytest.mark.parametrize("name", [*INTEGER, "int16x8"])
def test_the_logits_of_the_file_are_as_near_to_the_float_head_as_quantization_allows(tflite_models, name):
    check_error_bound(tflite_models[name])


@pytest.mark.parametrize("name", ["float32", "hybrid"])
def test_a_float_bias_and_float_weights_are_written_as_they_are(tflite_models, name):
    merged, head, _, _ = merged_with(tflite_models[name])
    written = split_tflite_head(merged).head
    np.testing.assert_array_equal(written.bias, head.bias)
    step = np.abs(head.weights).max(axis=1, keepdims=True) / 127 if name == "hybrid" else 0.0
    assert (np.abs(written.weights - head.weights) <= step / 2 + 1e-7 * (name == "hybrid")).all()


def test_the_outputs_of_a_float_file_are_those_of_the_head(tflite_models):
    merged, head, embeddings, inputs = merged_with(tflite_models["float32"])
    logits = run(split_tflite_head(merged).logits_view.data, inputs, reference=False)
    np.testing.assert_allclose(logits, head.logits(embeddings), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", DENSE)
def test_a_written_head_reaches_the_output_of_the_whole_file(tflite_models, name):
    merged, head, embeddings, inputs = merged_with(tflite_models[name])
    answers = real(run(merged.data, inputs, reference=False), read_tflite(merged).outputs[0])
    logits = head.logits(embeddings)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tolerance = {"float32": 1e-4}.get(name, 0.04)
    if tflite_has_softmax(merged):
        np.testing.assert_allclose(answers, probabilities, atol=tolerance)
    else:
        np.testing.assert_allclose(answers, logits, atol=0.03 * np.ptp(logits))


@pytest.mark.parametrize("name", DENSE)
def test_the_old_head_written_back_gives_the_old_logits(tflite_models, name):
    artifact = tflite_models[name]
    split = split_tflite_head(artifact)
    spec = split.info.logits
    inputs = samples(artifact)
    old = real(run(split.logits_view.data, inputs), spec)
    again = merge_tflite_head(merged_with(artifact)[0], split.head, (float(old.min()), float(old.max())))
    restored = split_tflite_head(again)
    embeddings = real(run(split.backbone.data, inputs), split.info.embedding)
    # Where the old file saturates and the new one does not, the head itself tells what is right.
    exact = split.head.logits(embeddings)
    inside = (exact > old.min()) & (exact < old.max())
    step = 0.0 if spec.quantization is None else spec.quantization.scale
    new = real(run(restored.logits_view.data, inputs), restored.info.logits)
    assert np.abs(new - old)[inside].max() <= 2.5 * step + 0.01 * np.ptp(old)


def test_the_sibling_output_of_another_type_is_rescaled_with_the_logits(tflite_models):
    merged, head, embeddings, inputs = merged_with(tflite_models["no-softmax-uint8-io"])
    spec = read_tflite(merged).outputs[0]
    assert spec.dtype == "uint8"
    np.testing.assert_allclose(
        real(run(merged.data, inputs), spec), head.logits(embeddings), atol=0.02 * np.ptp(head.logits(embeddings))
    )


@pytest.mark.parametrize("name", ["int8", "int8-per-tensor"])
def test_a_class_without_weights_keeps_its_bias(tflite_models, name):
    artifact = tflite_models[name]
    split, inputs = split_tflite_head(artifact), samples(artifact)
    embeddings = real(run(split.backbone.data, inputs), split.info.embedding)
    head = random_head(split, embeddings)
    weights, bias = head.weights.copy(), head.bias.copy()
    weights[3], bias[3] = 0.0, 2.5
    weights[4] *= 1e-12
    head = SoftmaxHead(weights, bias)
    logits = head.logits(embeddings)
    parts = split_tflite_head(merge_tflite_head(artifact, head, (logits.min(), logits.max())))
    assert parts.info.logits.quantization is not None
    for reference in (True, False):
        written = real(run(parts.logits_view.data, inputs, reference=reference), parts.info.logits)
        errors = np.abs(written - logits)[:, 3:5]
        assert errors.max() <= 1.5 * parts.info.logits.quantization.scale


def test_a_head_of_zeros_can_be_written(tflite_models):
    artifact = tflite_models["int8"]
    split = split_tflite_head(artifact)
    zeros = SoftmaxHead(np.zeros_like(split.head.weights), np.zeros_like(split.head.bias))
    merged = split_tflite_head(merge_tflite_head(artifact, zeros, (0.0, 0.0)))
    assert np.abs(real(run(merged.logits_view.data, samples(artifact)), merged.info.logits)).max() < 1e-6


# Refusals


def test_the_message_says_what_a_graph_without_dense_layer_ends_with(tflite_models):
    for function in (
        split_tflite_head,
        lambda a: merge_tflite_head(a, SoftmaxHead(np.ones((2, 2)), np.ones(2)), (0, 1)),
    ):
        with pytest.raises(NoHeadError, match=r"ends with MEAN -> SOFTMAX \('.*global_average_pooling.*'\), not with"):
            function(tflite_models["no-dense"])


@pytest.mark.parametrize("name", ["int8", "float32"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["weights", "bias"])
def test_a_head_that_is_not_finite_is_refused(tflite_models, name, bad, where):
    head = split_tflite_head(tflite_models[name]).head
    weights, bias = head.weights.copy(), head.bias.copy()
    (weights if where == "weights" else bias).flat[1] = bad
    with pytest.raises(ModelError, match="NaN or infinity"):
        merge_tflite_head(tflite_models[name], SoftmaxHead(weights, bias), (-1.0, 1.0))


@pytest.mark.parametrize("shape", [(9, 128), (11, 128), (10, 127), (128, 10)])
def test_a_head_of_another_size_is_refused(tflite_models, shape):
    with pytest.raises(ModelError, match="has 10 classes x 128 features, the new head has weights"):
        merge_tflite_head(tflite_models["int8"], SoftmaxHead(np.zeros(shape), np.zeros(shape[0])), (-1.0, 1.0))


@pytest.mark.parametrize("ends", [(1.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_of_logits_that_is_none_is_refused(tflite_models, ends):
    with pytest.raises(ModelError, match="range of the logits"):
        merge_tflite_head(tflite_models["int8"], split_tflite_head(tflite_models["int8"]).head, ends)


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_a_head_beyond_float32_is_refused(tflite_models, name):
    head = split_tflite_head(tflite_models[name]).head
    huge = SoftmaxHead(head.weights.astype(np.float64) * 1e60, head.bias.astype(np.float64))
    with pytest.raises(ModelError, match="goes beyond the range"):
        merge_tflite_head(tflite_models[name], huge, (-1.0, 1.0))


def test_a_layer_without_bias_takes_a_head_without_one(tflite_models):
    artifact = tflite_models["no-bias"]
    head = split_tflite_head(artifact).head
    np.testing.assert_array_equal(head.bias, np.zeros(10))
    merge_tflite_head(artifact, head, (-1.0, 1.0))
    with pytest.raises(ModelError, match=r"has no bias, but the new head has one up to 0\.5; export"):
        merge_tflite_head(artifact, SoftmaxHead(head.weights, head.bias + np.float32(0.5)), (-1.0, 1.0))


# Files of other writers, made by changing the tree of a converted one


def dense_operator(tree: Any) -> Any:
    return next(op for op in tree.subgraphs[0].operators if op.builtinOptionsType == 8)


def dense_tensor(tree: Any, role: str) -> Any:
    op = dense_operator(tree)
    tensors = tree.subgraphs[0].tensors
    places = {"embedding": op.inputs[0], "weights": op.inputs[1], "bias": op.inputs[2], "logits": op.outputs[0]}
    return tensors[places[role]]


def copy_of(tensor: Any, name: bytes) -> Any:
    other = schema.TensorT()
    vars(other).update(vars(tensor))
    other.name = name
    return other


def test_constants_of_equal_bytes_kept_once_are_not_changed_for_both(tflite_models):
    for role in ("weights", "bias"):

        def share(tree: Any, role: str = role) -> None:
            tree.subgraphs[0].tensors.append(copy_of(dense_tensor(tree, role), b"the other one"))

        artifact = changed(tflite_models["int8"], share)
        check_split(artifact)
        with pytest.raises(
            ModelError, match=f"{split_tflite_head(artifact).info.name.split(';')[0][:12]}.*'the other one'"
        ):
            merged_with(artifact)


def test_a_buffer_shared_with_the_metadata_is_not_changed(tflite_models):
    artifact = changed(
        tflite_models["int8"], lambda tree: setattr(tree.metadata[0], "buffer", dense_tensor(tree, "weights").buffer)
    )
    with pytest.raises(ModelError, match="shares bytes of the file with 'min_runtime_version'"):
        merged_with(artifact)


def test_a_constant_that_two_layers_read_is_not_changed(tflite_models):
    def read_twice(tree: Any) -> None:
        graph = tree.subgraphs[0]
        other = schema.OperatorT()
        vars(other).update(vars(dense_operator(tree)))
        graph.tensors.append(copy_of(dense_tensor(tree, "logits"), b"second logits"))
        other.outputs = [len(graph.tensors) - 1]
        graph.operators.append(other)

    artifact = changed(tflite_models["int8"], read_twice)
    with pytest.raises(ModelError, match=r"read by FULLY_CONNECTED \('second logits'\) as well"):
        merged_with(artifact)


def test_scales_kept_once_are_not_changed_for_both(tflite_models):
    # The packer writes every vector, so one scale is pointed at another's place by hand.
    artifact = tflite_models["int8-per-tensor"]
    graph = read_tflite(artifact).main
    layout = next(op for op in graph.operators if op.name == "FULLY_CONNECTED")
    mine = graph.tensors[layout.inputs[1]].quantization
    assert mine is not None
    assert mine.scales is not None
    data = bytearray(artifact.data)
    root = schema.Model.GetRootAs(data)
    for index in range(len(graph.tensors)):
        stored = root.Subgraphs(0).Tensors(index).Quantization()
        if index in (*layout.inputs, *layout.outputs) or stored is None or stored.ScaleLength() != 1:
            continue
        field = stored._tab.Pos + stored._tab.Offset(8)
        if field < mine.scales.start - 4:
            data[field : field + 4] = (mine.scales.start - 4 - field).to_bytes(4, "little")
            other = graph.tensors[index].name
            break
    else:
        pytest.fail("no tensor can point at the scale of the weights")
    with pytest.raises(ModelError) as caught:
        merged_with(Artifact("shared.tflite", TFLITE, bytes(data)))
    assert repr(other) in str(caught.value)


def test_two_views_of_the_logits_may_share_their_quantization(tflite_models):
    """FULLY_CONNECTED -> RESHAPE -> SOFTMAX: the reshaped logits need the same new scale."""
    artifact = changed(tflite_models["int8"], add_reshape)
    merged, head, embeddings, inputs = merged_with(artifact)
    probabilities = real(run(merged.data, inputs), read_tflite(merged).outputs[0])
    logits = head.logits(embeddings)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=0.04)
    before, after = (
        [t.quantization for t in schema.ModelT.InitFromPackedBuf(a.data, 0).subgraphs[0].tensors if t.name == b"again"]
        for a in (artifact, merged)
    )
    assert before[0].scale != after[0].scale


def add_reshape(tree: Any) -> None:
    graph = tree.subgraphs[0]
    graph.tensors.append(copy_of(dense_tensor(tree, "logits"), b"again"))
    reshaped = len(graph.tensors) - 1
    softmax = graph.operators[-1]
    reshape = schema.OperatorT()
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version = 1
    tree.operatorCodes.append(code)
    reshape.opcodeIndex = len(tree.operatorCodes) - 1
    reshape.inputs, reshape.outputs = [softmax.inputs[0]], [reshaped]
    reshape.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    reshape.builtinOptions = schema.ReshapeOptionsT()
    reshape.builtinOptions.newShape = [1, 10]
    softmax.inputs = [reshaped]
    graph.operators.insert(len(graph.operators) - 1, reshape)


def test_an_operator_after_the_head_that_has_nothing_to_do_with_it_keeps_running(tflite_models):
    def move_a_needed_operator_last(tree: Any) -> None:
        # Order matters between a tensor's writer and its readers only; a dead operator may stand anywhere.
        graph = tree.subgraphs[0]
        dead = schema.OperatorT()
        vars(dead).update(vars(graph.operators[2]))
        graph.tensors.append(copy_of(graph.tensors[dead.outputs[0]], b"dead"))
        dead.outputs = [len(graph.tensors) - 1]
        graph.operators.insert(len(graph.operators) - 1, dead)
        graph.operators.append(dead)

    artifact = changed(tflite_models["int8"], move_a_needed_operator_last)
    check_split(artifact)
    operators = [op.name for op in read_tflite(split_tflite_head(artifact).backbone).main.operators]
    whole = [op.name for op in read_tflite(artifact).main.operators]
    assert operators == [name for name in whole if name not in ("FULLY_CONNECTED", "SOFTMAX")]


def test_a_signature_whose_output_is_not_stored_is_refused(tflite_models):
    def swap_first_and_last(tree: Any) -> None:
        graph = tree.subgraphs[0]
        tensors, output = graph.tensors, graph.outputs[0]
        tensors[0], tensors[output] = tensors[output], tensors[0]
        swapped = {0: output, output: 0}
        for holder in (graph, *graph.operators):
            holder.inputs = [swapped.get(int(i), int(i)) for i in holder.inputs]
            holder.outputs = [swapped.get(int(i), int(i)) for i in holder.outputs]
        for end in (*tree.signatureDefs[0].inputs, *tree.signatureDefs[0].outputs):
            end.tensorIndex = swapped[end.tensorIndex]

    # A FlatBuffer leaves out a field at its default, and the default index is 0.
    artifact = changed(tflite_models["int8"], swap_first_and_last)
    run(artifact.data, samples(artifact))
    with pytest.raises(ModelError, match="output 'output_0' of signature 'serving_default' is not stored"):
        split_tflite_head(artifact)


def test_weights_of_the_file_that_are_not_finite_are_damage(tflite_models):
    def spoil(tree: Any) -> None:
        buffer = tree.buffers[dense_tensor(tree, "weights").buffer]
        buffer.data = np.full(1280, np.nan, np.float32).view(np.uint8)

    with pytest.raises(ModelError, match="holds NaN or infinity"):
        split_tflite_head(changed(tflite_models["float32"], spoil))


def test_absent_zero_points_mean_0_and_stay_absent(tflite_models):
    def without_zero_points(tree: Any) -> None:
        for role in ("weights", "bias", "logits"):
            dense_tensor(tree, role).quantization.zeroPoint = None

    artifact = changed(tflite_models["int8"], without_zero_points)
    # Today's LiteRT refuses such files, older runtimes take them.
    head = split_tflite_head(artifact).head
    merged = merge_tflite_head(artifact, SoftmaxHead(2 * head.weights, head.bias), (-3.0, 5.0))
    split = split_tflite_head(merged)
    assert split.info.logits.quantization is not None
    assert split.info.logits.quantization.zero_point == 0
    assert 5.0 < 127 * split.info.logits.quantization.scale < 6.0
    np.testing.assert_allclose(split.head.weights, 2 * head.weights, atol=np.abs(head.weights).max() / 60)
    assert [t.quantization.zeroPoint for t in schema.ModelT.InitFromPackedBuf(merged.data, 0).subgraphs[0].tensors][
        read_tflite(merged).main.operators[-1].inputs[0]
    ] is None


def test_the_smallest_and_largest_values_that_a_converter_noted_are_renewed(tflite_models):
    merged, head, _, _ = merged_with(tflite_models["int16x8"])
    tree = schema.ModelT.InitFromPackedBuf(merged.data, 0)
    noted = dense_tensor(tree, "weights").quantization
    np.testing.assert_array_equal(noted.min, head.weights.min(axis=1))
    np.testing.assert_array_equal(noted.max, head.weights.max(axis=1))
    logits = dense_tensor(tree, "logits").quantization
    np.testing.assert_allclose([logits.min[0], logits.max[0]], np.array([-32768, 32767]) * logits.scale[0], rtol=1e-6)


def to_unsigned(tree: Any) -> None:
    """The same network in uint8, as the converters of 2019 made them: FULLY_CONNECTED and SOFTMAX alone."""
    graph = tree.subgraphs[0]
    for tensor in graph.tensors:
        if tensor.type == schema.TensorType.INT8:
            tensor.type = schema.TensorType.UINT8
            tensor.quantization.zeroPoint = [z + 128 for z in tensor.quantization.zeroPoint]
            data = tree.buffers[tensor.buffer].data
            if data is not None and len(data):
                tree.buffers[tensor.buffer].data = np.asarray(data, np.uint8) ^ np.uint8(128)
    op = dense_operator(tree)
    graph.inputs = [op.inputs[0]]
    graph.operators = graph.operators[-2:]
    for signature in tree.signatureDefs:
        signature.inputs[0].tensorIndex = op.inputs[0]
    for code in tree.operatorCodes:
        code.version = 1


@pytest.fixture
def unsigned(tflite_models) -> Artifact:
    return changed(tflite_models["int8-per-tensor"], to_unsigned)


def test_a_graph_of_the_dense_layer_alone_gives_its_input_as_embedding(unsigned):
    split, inputs = split_tflite_head(unsigned), samples(unsigned)
    np.testing.assert_array_equal(run(split.backbone.data, inputs), inputs)
    assert read_tflite(split.backbone).main.operators == ()


def test_unsigned_weights_are_written_around_128(unsigned):
    merged, head, embeddings, inputs = merged_with(unsigned)
    check_other_bytes(unsigned)
    split = split_tflite_head(merged)
    assert split.info.weights_dtype == "uint8"
    assert split.info.weights_quantization is not None
    assert split.info.weights_quantization.zero_points == (128,)
    step = split.info.weights_quantization.scale
    assert np.abs(split.head.weights - head.weights).max() <= 0.51 * step
    logits = head.logits(embeddings)
    np.testing.assert_allclose(
        real(run(split.logits_view.data, inputs), split.info.logits), logits, atol=0.02 * np.ptp(logits)
    )


def test_unsigned_logits_without_a_zero_point_cannot_be_written(unsigned):
    def without(tree: Any) -> None:
        dense_tensor(tree, "logits").quantization.zeroPoint = None

    artifact = changed(unsigned, without)
    with pytest.raises(ModelError, match="is uint8 and the file has no zero point to change"):
        merge_tflite_head(artifact, split_tflite_head(artifact).head, (-1.0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: setattr(dense_operator(t).builtinOptions, "fusedActivationFunction", 1), "has the activation RELU,"),
        (lambda t: setattr(dense_operator(t).builtinOptions, "weightsFormat", 1), "its weights are shuffled"),
        (lambda t: setattr(dense_tensor(t, "weights"), "buffer", 0), "is no plain constant"),
        (lambda t: setattr(dense_tensor(t, "weights"), "sparsity", schema.SparsityParametersT()), "no plain constant"),
        (lambda t: setattr(dense_tensor(t, "weights"), "type", schema.TensorType.INT2), "is int2"),
        (lambda t: setattr(dense_tensor(t, "embedding"), "type", schema.TensorType.INT16), "it has int16 embeddings"),
        (lambda t: setattr(dense_tensor(t, "embedding"), "shape", [1, 7, 128]), "more than one vector of 128 values"),
        (
            lambda t: t.subgraphs[0].operators.append(t.subgraphs[0].operators[-1]),
            "SOFTMAX reads .* besides the output",
        ),
        (lambda t: setattr(t.subgraphs[0], "outputs", [17, 16]), "has 2 outputs, a classifier has one"),
        (lambda t: setattr(t.subgraphs[0], "outputs", [0]), "no FULLY_CONNECTED or CONV_2D layer leads to the output"),
        (lambda t: set_blockwise(dense_tensor(t, "weights").quantization), "another quantization than one"),
    ],
)
def test_a_layer_that_surgery_does_not_know_is_no_head(tflite_models, change, message):
    with pytest.raises(NoHeadError, match=message):
        split_tflite_head(changed(tflite_models["int8"], change))


def set_blockwise(quantization: Any) -> None:
    quantization.detailsType = schema.QuantizationDetails.BlockwiseQuantization
    quantization.details = schema.BlockwiseQuantizationT()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: setattr(dense_tensor(t, "weights"), "shape", [10, 127]),
            r"has shape \[10, 127\] of int8, but 1280 bytes",
        ),
        (lambda t: setattr(dense_tensor(t, "weights"), "shape", [1280]), "has weights"),
        (lambda t: setattr(dense_tensor(t, "weights"), "shape", [-10, -128]), "has shape"),
        (lambda t: setattr(dense_tensor(t, "weights").quantization, "scale", [1.0, 2.0]), "with 10 zero points"),
        (
            lambda t: setattr(dense_tensor(t, "weights").quantization, "scale", [float("nan")] * 10),
            "not a positive number",
        ),
        (
            lambda t: setattr(dense_tensor(t, "weights").quantization, "quantizedDimension", 1),
            "of axis 1, not of axis 0",
        ),
        (lambda t: setattr(dense_tensor(t, "logits"), "quantization", None), "is int8 with 0 scales"),
        (
            lambda t: setattr(dense_tensor(t, "logits").quantization, "zeroPoint", [999]),
            "zero point that int8 cannot hold",
        ),
        (lambda t: setattr(dense_operator(t), "inputs", [15]), "has 1 inputs"),
    ],
)
def test_a_layer_that_contradicts_itself_is_damage(tflite_models, change, message):
    with pytest.raises(ModelError, match=message) as caught:
        split_tflite_head(changed(tflite_models["int8"], change))
    assert not isinstance(caught.value, NoHeadError)


def test_a_cycle_of_operators_ends_with_an_error(tflite_models):
    def cycle(tree: Any) -> None:
        softmax = tree.subgraphs[0].operators[-1]
        softmax.inputs = list(softmax.outputs)

    artifact = changed(tflite_models["int8"], cycle)
    with pytest.raises(NoHeadError):
        split_tflite_head(artifact)
    assert tflite_has_softmax(artifact)


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_damaged_files_give_an_error_of_ours_or_a_result(tflite_models, name):
    whole = tflite_models[name]
    rng = np.random.default_rng(1)
    head = split_tflite_head(whole).head
    for length in range(0, len(whole.data), 97):
        damage(whole.data[:length], head)
    for _ in range(300):
        data = np.frombuffer(whole.data, np.uint8).copy()
        data[rng.integers(0, len(data), rng.integers(1, 5))] = rng.integers(0, 256)
        damage(data.tobytes(), head)


def damage(data: bytes, head: SoftmaxHead) -> None:
    artifact = Artifact("damaged.tflite", TFLITE, data)
    for function in (split_tflite_head, tflite_has_softmax, lambda a: merge_tflite_head(a, head, (-1.0, 1.0))):
        with contextlib.suppress(EdgeCnnError):
            result = function(artifact)
            if isinstance(result, SplitModel):
                assert len(result.backbone.data) == len(result.logits_view.data) == len(data)


# Other runtimes, other models


def test_the_parts_and_the_new_file_run_in_the_older_tflite_runtime(tflite_models, tmp_path):
    jobs: dict[str, tuple[Artifact, np.ndarray, str]] = {}
    expected: dict[str, Any] = {}
    for name in ("float32", "int8", "int8-per-tensor", "no-softmax"):
        merged, head, embeddings, inputs = merged_with(tflite_models[name])
        split = split_tflite_head(merged)
        jobs[f"{name}/whole"] = (tflite_models[name], inputs, split.info.embedding.name)
        jobs[f"{name}/backbone"] = (split.backbone, inputs, "")
        jobs[f"{name}/logits"] = (split.logits_view, inputs, "")
        jobs[f"{name}/merged"] = (merged, inputs, "")
        expected[name] = (split.info.logits, head.logits(embeddings), run(split.logits_view.data, inputs))
    results = run_in_old_runtime(tmp_path, jobs)
    for name, (spec, logits, reference) in expected.items():
        # The new file's backbone still computes what the old file computes.
        np.testing.assert_array_equal(results[f"{name}/backbone", True], results[f"{name}/whole", True])
        for kind in (True, False):
            codes = results[f"{name}/logits", kind]
            np.testing.assert_allclose(real(codes, spec), logits, atol=0.02 * np.ptp(logits))
        if spec.quantization is not None:
            # One scale a class is no trouble for its integer kernels, unlike for its hybrid ones.
            assert np.abs(results[f"{name}/logits", True].astype(int) - reference).max() <= 1
        assert np.isfinite(results[f"{name}/merged", False].astype(np.float64)).all()


@pytest.mark.parametrize("name", MLPERF_MODELS)
def test_models_of_mlperf_tiny_are_taken_apart_and_put_together(name):
    if MLPERF is None:
        pytest.skip("the MLPerf Tiny models are not here; EDGE_CNN_DATA=FOLDER names where they are")
    artifact = read_artifact(MLPERF / f"{name}.tflite")
    check_split(artifact)
    check_other_bytes(artifact)
    if split_tflite_head(artifact).info.weights_quantization is not None:
        check_error_bound(artifact)


def test_the_surgery_needs_neither_flatbuffers_nor_a_runtime():
    code = """
        import sys
        import edge_cnn.device.tflite.head, edge_cnn.device.tflite.metadata
        heavy = {"flatbuffers", "ai_edge_litert", "tflite_runtime", "tensorflow", "keras", "scipy", "sklearn"}
        sys.exit(f"imported {heavy & set(sys.modules)}" if heavy & set(sys.modules) else 0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT)
