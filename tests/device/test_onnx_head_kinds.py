"""Heads of other kinds than a Gemm or MatMul on floats or between Q and DQ: 1x1 convolutions, float16, operators on
codes, and embeddings that are quantized as they come."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError, NoHeadError
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.onnx.head import merge_onnx_head, onnx_has_softmax, split_onnx_head
from tests.device.onnx_kinds import CONVOLUTIONS, FLOAT16, KINDS, build, conv_classifier, dynamic
from tests.device.onnx_oracle import (
    CLASSES,
    FEATURES,
    X,
    gemm_classifier,
    matmul_classifier,
    merged_with,
    random_head,
    real,
    run,
    value,
    with_output,
)

_BUILT: dict[str, Artifact] = {}


@pytest.fixture
def classifier(request, tmp_path_factory):
    kind = request.param
    if kind not in _BUILT:
        made = build(kind, tmp_path_factory.mktemp(kind))
        _BUILT[kind] = Artifact(f"{kind}.onnx", "onnx", made if isinstance(made, bytes) else made.SerializeToString())
    return _BUILT[kind]


def each(*kinds):
    return pytest.mark.parametrize("classifier", kinds, indirect=True)


def logits_of(split):
    return real(run(split.logits_view.data)[0], split.info.logits).reshape(len(X), -1)


def embeddings_of(split):
    return real(run(split.backbone.data)[0], split.info.embedding).reshape(len(X), -1).astype(np.float64)


def merged_by_embeddings(classifier, head):
    split = split_onnx_head(classifier)
    wanted = head.logits(embeddings_of(split))
    return merge_onnx_head(classifier, head, (float(wanted.min()), float(wanted.max()))), wanted


@each(*KINDS)
def test_the_parts_give_the_very_tensors_of_the_whole_graph(classifier):
    split = split_onnx_head(classifier)
    for part, spec, width in (
        (split.backbone, split.info.embedding, FEATURES),
        (split.logits_view, split.info.logits, CLASSES),
    ):
        onnx.checker.check_model(part.data, full_check=True)
        (codes,) = run(part.data)
        output, inside = run(with_output(classifier.data, spec))
        # ONNX Runtime computes half precision in single where the kernels lack it, and rounds where a tensor is seen.
        tolerance = 2e-3 * np.abs(inside).max() if "float16" in classifier.name else 0
        np.testing.assert_allclose(codes, inside, rtol=0, atol=tolerance)
        np.testing.assert_allclose(output, run(classifier.data)[0], rtol=0, atol=tolerance)
        assert (codes.size, codes.dtype) == (len(X) * width, spec.numpy_dtype)


@each(*KINDS)
def test_the_head_is_what_stands_between_embedding_and_logits(classifier):
    split = split_onnx_head(classifier)
    logits, wanted = logits_of(split), split.head.logits(embeddings_of(split))
    quantization = split.info.logits.quantization
    if quantization is not None:
        assert np.abs(logits - np.clip(wanted, logits.min(), logits.max())).max() <= 1.6 * quantization.scale
    else:
        # Half precision keeps 11 bits; an embedding quantized as it comes keeps 8.
        share = 5e-3 if "float16" in str(split.info.embedding.dtype) else 1e-2 if "dynamic" in classifier.name else 1e-5
        np.testing.assert_allclose(logits, wanted, atol=share * np.abs(wanted).max())


@each(*KINDS)
def test_a_new_head_computes_the_logits_of_its_float_form_but_for_rounding(classifier):
    for seed in range(2):
        merged, wanted = merged_by_embeddings(classifier, random_head(seed))
        onnx.checker.check_model(merged.data, full_check=True)
        split = split_onnx_head(merged)
        logits = logits_of(split)
        if split.info.logits.quantization is not None:
            assert np.abs(logits - wanted).max() <= 2 * split.info.logits.quantization.scale
        else:
            share = 5e-3 if "float16" in classifier.name else 2e-2 if "dynamic" in classifier.name else 1e-3
            np.testing.assert_allclose(logits, wanted, atol=share * np.abs(wanted).max())
        expected = np.exp(wanted) / np.exp(wanted).sum(axis=1, keepdims=True) if onnx_has_softmax(merged) else wanted
        np.testing.assert_allclose(run(merged.data)[0], expected, atol=0.04 * np.abs(expected).max())


@each(*KINDS)
def test_the_backbone_of_the_merged_file_is_the_one_of_the_original(classifier):
    merged, _ = merged_by_embeddings(classifier, random_head(4))
    assert split_onnx_head(merged).backbone.data == split_onnx_head(classifier).backbone.data


@each(*KINDS)
def test_weights_keep_type_and_granularity(classifier):
    before, after = (split_onnx_head(a).info for a in (classifier, merged_by_embeddings(classifier, random_head(5))[0]))
    assert before.weights_dtype == after.weights_dtype
    assert (before.weights_quantization is None) == (after.weights_quantization is None)
    if before.weights_quantization is not None and after.weights_quantization is not None:
        assert len(before.weights_quantization.scales) == len(after.weights_quantization.scales)
        assert before.weights_quantization.axis == after.weights_quantization.axis


@each(*KINDS)
def test_nothing_changes_but_constants_that_the_last_layer_reads(classifier):
    merged, _ = merged_by_embeddings(classifier, random_head(6, scale=2))
    # A zero point of 128 takes two bytes where the file spells numbers out.
    assert 0 <= len(merged.data) - len(classifier.data) <= (CLASSES if "dynamic" in classifier.name else 0)
    old, new = onnx.load_from_string(classifier.data), onnx.load_from_string(merged.data)
    changed = {
        before.name
        for before, after in zip(old.graph.initializer, new.graph.initializer, strict=True)
        if before != after
    }
    upstream = onnx.load_from_string(split_onnx_head(classifier).backbone.data)
    assert changed
    assert not changed & {i.name for i in upstream.graph.initializer}
    shapes = {i.name: (i.dims, i.data_type) for i in old.graph.initializer}
    assert shapes == {i.name: (i.dims, i.data_type) for i in new.graph.initializer}
    del old.graph.initializer[:], new.graph.initializer[:]
    assert old == new


@each(*FLOAT16)
def test_float16_files_hold_the_head_rounded_to_float16(classifier):
    head = random_head(7)
    merged, _ = merged_by_embeddings(classifier, head)
    stored = [numpy_helper.to_array(i) for i in onnx.load_from_string(merged.data).graph.initializer]
    halves = [a.reshape(-1) for a in stored if a.dtype == np.float16]
    assert any(np.array_equal(h, head.weights.astype(np.float16).reshape(-1)) for h in halves)
    assert any(np.array_equal(h, head.bias.astype(np.float16)) for h in halves)
    with pytest.raises(ModelError, match="goes beyond float16"):
        merge_onnx_head(classifier, SoftmaxHead(head.weights + np.float32(1e6), head.bias), (-1.0, 1.0))


@each(*CONVOLUTIONS)
def test_a_convolution_of_one_vector_a_sample_is_a_dense_layer(classifier):
    info = split_onnx_head(classifier).info
    assert "Conv" in info.op
    assert (info.features, info.classes) == (FEATURES, CLASSES)
    assert (info.embedding.shape, info.logits.shape) == ((-1, FEATURES), (-1, CLASSES))


def edited(change):
    model = conv_classifier()
    change(model.graph)
    return Artifact("model.onnx", "onnx", model.SerializeToString())


def without_pool(graph):
    graph.node[3].input[0] = "r"
    del graph.node[2]


def undeclared(graph):
    """A file that declares no shape behind its input."""
    without_pool(graph)
    graph.output[0].CopyFrom(value("output", None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (undeclared, "does not tell whether that sees one vector a sample"),
        (
            lambda g: (undeclared(g), g.value_info.append(value("scores", ["n", CLASSES, 8, 8]))),
            r"more than one vector a sample: 'scores' has shape \[-1, 5, 8, 8\]",
        ),
        (lambda g: g.node[3].attribute.append(helper.make_attribute("group", 2)), "is grouped or padded"),
        (lambda g: g.node[3].attribute.append(helper.make_attribute("pads", [1, 1, 1, 1])), "is grouped or padded"),
        (
            lambda g: g.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((5, 12, 2, 1), np.float32), "fc_w")),
            r"weights have shape \[5, 12, 2, 1\]",
        ),
    ],
)
def test_a_convolution_that_is_no_dense_layer_is_no_head(change, message):
    with pytest.raises(NoHeadError, match=f"the graph ends with Conv 'conv_preds'.*{message}"):
        split_onnx_head(edited(change))


def test_a_gate_that_follows_a_pooling_does_not_make_one_vector_of_a_map():
    def gate(graph):
        undeclared(graph)
        graph.node.insert(2, helper.make_node("GlobalAveragePool", ["r"], ["gate"]))
        graph.node.insert(3, helper.make_node("Mul", ["gate", "r"], ["gated"]))
        graph.node[4].input[0] = "gated"

    with pytest.raises(NoHeadError, match="does not tell whether"):
        split_onnx_head(edited(gate))


def test_an_integer_product_scaled_by_something_else_is_refused(tmp_path):
    model = dynamic(matmul_classifier(), tmp_path)
    scales = [n for n in model.graph.node if n.op_type == "Mul"][-2]
    scales.input[0] = "f_scale"
    with pytest.raises(ModelError, match="by something else than its embedding's scale"):
        split_onnx_head(Artifact("model.onnx", "onnx", model.SerializeToString()))


def test_the_helper_of_the_other_file_agrees_on_a_flat_head():
    """`merged_with` there and the one here are the same for embeddings without height and width."""
    artifact = Artifact("m.onnx", "onnx", gemm_classifier().SerializeToString())
    assert merged_with(artifact, random_head(1))[0] == merged_by_embeddings(artifact, random_head(1))[0]
