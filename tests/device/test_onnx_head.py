"""Surgery on `.onnx` classifiers, judged by the onnx package, its reference evaluator and ONNX Runtime."""

import contextlib
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import EdgeCnnError, ModelError, NoHeadError
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.onnx.file import op_versions
from edge_cnn.device.onnx.head import merge_onnx_head, onnx_has_softmax, split_onnx_head
from edge_cnn.device.onnx.metadata import read_onnx_metadata
from tests.device.onnx_oracle import (
    CLASSES,
    FEATURES,
    SYMMETRIC,
    Calibration,
    X,
    gemm_classifier,
    matmul_classifier,
    merged_with,
    quantized,
    random_head,
    real,
    run,
    value,
    with_output,
)

VARIANTS = ("float-matmul", "float-gemm", "u8", "u8-gemm", "u8-per-tensor", "s8", "s8-pairs", "u8-matmul", "s8-matmul")
QUANTIZED = VARIANTS[2:]
FUSED = VARIANTS[2:7]


def build(variant, folder):
    match variant:
        case "float-matmul":
            return matmul_classifier().SerializeToString()
        case "float-gemm":
            return gemm_classifier().SerializeToString()
        case "u8":
            return quantized(matmul_classifier(), folder, QuantType.QUInt8)
        case "u8-gemm":
            return quantized(gemm_classifier(), folder, QuantType.QUInt8)
        case "u8-per-tensor":
            return quantized(gemm_classifier(), folder, QuantType.QUInt8, per_channel=False)
        case "s8":
            return quantized(matmul_classifier(), folder, QuantType.QInt8, SYMMETRIC)
        case "s8-pairs":
            extra = SYMMETRIC | {"AddQDQPairToWeight": True}
            return quantized(matmul_classifier(), folder, QuantType.QInt8, extra)
        case "u8-matmul":
            return quantized(matmul_classifier(), folder, QuantType.QUInt8, fused=False)
        case "s8-matmul":
            return quantized(matmul_classifier(), folder, QuantType.QInt8, SYMMETRIC, fused=False)


_BUILT: dict[str, Artifact] = {}


@pytest.fixture
def classifier(request, tmp_path_factory):
    variant = request.param
    if variant not in _BUILT:
        _BUILT[variant] = Artifact("model.onnx", "onnx", build(variant, tmp_path_factory.mktemp(variant)))
    return _BUILT[variant]


def each(*variants):
    return pytest.mark.parametrize("classifier", variants, indirect=True)


@each(*VARIANTS)
def test_the_embedding_is_the_tensor_that_the_whole_graph_feeds_its_head(classifier):
    split = split_onnx_head(classifier)
    (codes,) = run(split.backbone.data)
    output, inside = run(with_output(classifier.data, split.info.embedding))
    np.testing.assert_array_equal(codes, inside)
    # Looking at the tensor must not have changed what the graph computes.
    np.testing.assert_array_equal(output, run(classifier.data)[0])
    assert codes.shape == (len(X), FEATURES)
    assert codes.dtype == split.info.embedding.numpy_dtype


@each(*VARIANTS)
def test_the_logits_view_ends_with_the_logits_of_the_whole_graph(classifier):
    split = split_onnx_head(classifier)
    (codes,) = run(split.logits_view.data)
    _, inside = run(with_output(classifier.data, split.info.logits))
    np.testing.assert_array_equal(codes, inside)
    assert codes.shape == (len(X), CLASSES)
    assert codes.dtype == split.info.logits.numpy_dtype


@each(*VARIANTS)
def test_the_head_is_what_stands_between_embedding_and_logits(classifier):
    split = split_onnx_head(classifier)
    embeddings = real(run(split.backbone.data)[0], split.info.embedding)
    logits = real(run(split.logits_view.data)[0], split.info.logits)
    quantization = split.info.logits.quantization
    wanted = split.head.logits(embeddings)
    if quantization is None:
        np.testing.assert_allclose(logits, wanted, atol=1e-5)
    else:
        steps = 0.51 if split.info.op == "Gemm" else 1.6
        assert np.abs(logits - np.clip(wanted, logits.min(), logits.max())).max() <= steps * quantization.scale
    assert split.head.weights.shape == (CLASSES, FEATURES)
    assert split.head.weights.dtype == split.head.bias.dtype == np.float32


@each("u8", "u8-per-tensor", "s8")
def test_the_quantization_of_the_head_is_that_of_the_file(classifier, request):
    info = split_onnx_head(classifier).info
    variant = request.node.callspec.params["classifier"]
    signed = variant == "s8"
    assert info.embedding.dtype == info.logits.dtype == ("int8" if signed else "uint8")
    assert info.embedding.quantization is not None
    assert info.logits.quantization is not None
    if signed:
        assert info.embedding.quantization.zero_point == info.logits.quantization.zero_point == 0
    assert info.weights_dtype == "int8"
    assert info.weights_quantization is not None
    assert len(info.weights_quantization.scales) == (1 if variant == "u8-per-tensor" else CLASSES)
    assert info.weights_quantization.axis == (None if variant == "u8-per-tensor" else 1)


@each(*VARIANTS)
def test_onnx_checks_all_parts_and_nothing_unused_is_left(classifier):
    split = split_onnx_head(classifier)
    merged, _ = merged_with(classifier, random_head(3))
    for part in (split.backbone, split.logits_view, merged):
        onnx.checker.check_model(part.data, full_check=True)
    for part in (split.backbone, split.logits_view):
        graph = onnx.load_from_string(part.data).graph
        read = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
        assert {i.name for i in graph.initializer} <= read
        assert {o for node in graph.node for o in node.output if o} <= read


def rounding_bound(head, embeddings, split, merged):
    """Half a step of everything that is rounded: weights, bias, product and logits; (n, classes)."""
    quantization = split.info.weights_quantization
    peaks = np.abs(head.weights).max(axis=1) if len(quantization.scales) > 1 else np.abs(head.weights).max()
    scales = {
        i.name: float(numpy_helper.to_array(i)) for i in constants(merged) if i.name.endswith("scale") and not i.dims
    }
    steps = split.info.logits.quantization.scale + scales.get("m2_scale", 0) + scales.get("b2_scale", 0)
    weights = np.abs(embeddings).sum(axis=1, keepdims=True) * peaks / 127
    return (steps + weights) / 2 * 1.001


def constants(artifact):
    return onnx.load_from_string(artifact.data).graph.initializer


@each(*VARIANTS)
def test_a_new_head_computes_the_logits_of_its_float_form_but_for_rounding(classifier):
    for seed in range(3):
        head = random_head(seed)
        merged, wanted = merged_with(classifier, head)
        split = split_onnx_head(merged)
        logits = real(run(split.logits_view.data)[0], split.info.logits)
        if split.info.logits.quantization is None:
            np.testing.assert_allclose(logits, wanted, atol=1e-5)
            continue
        embeddings = real(run(split.backbone.data)[0], split.info.embedding)
        bound = rounding_bound(head, embeddings, split, merged)
        assert (np.abs(logits - wanted) <= bound).all()
        assert np.abs(logits - wanted).max() <= 2 * split.info.logits.quantization.scale
        first, second = np.sort(wanted, axis=1)[:, [-1, -2]].T
        clear = first - second > 2 * bound.max()
        assert clear.any()
        assert (logits.argmax(1) == wanted.argmax(1))[clear].all()


@each(*VARIANTS)
def test_the_same_head_back_computes_nearly_the_same(classifier):
    split = split_onnx_head(classifier)
    merged, _ = merged_with(classifier, split.head)
    again = split_onnx_head(merged)
    for old, new in ((split.head.weights, again.head.weights), (split.head.bias, again.head.bias)):
        assert np.abs(old - new).max() <= 0.005 * np.abs(old).max()
    (before,) = run(classifier.data)
    np.testing.assert_allclose(run(merged.data)[0], before, atol=0.02 * np.abs(before).max())


@each(*VARIANTS)
def test_the_backbone_of_the_merged_file_is_the_one_of_the_original(classifier):
    merged, _ = merged_with(classifier, random_head(4))
    assert split_onnx_head(merged).backbone.data == split_onnx_head(classifier).backbone.data


def constants_near_the_head(model):
    """Names of the constants of the last layer, its quantizers and those up to the softmax, by the onnx package."""
    producers = {o: n for n in model.graph.node for o in n.output}
    consumers: dict[str, list] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    last = [n for n in model.graph.node if n.op_type in ("Gemm", "MatMul")][-1]
    names: set[str] = set()

    def up(name):
        node = producers.get(name)
        if node is None:
            names.add(name)
        else:
            for i in node.input:
                up(i)

    for name in last.input[1:]:
        up(name)
    waiting = list(last.output)
    while waiting:
        for node in consumers.get(waiting.pop(), []):
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                names.update(node.input[1:])
            elif node.op_type == "Add":
                up(node.input[1])
            elif node.op_type != "Reshape":
                continue
            waiting.extend(node.output)
    return names


@each(*VARIANTS)
def test_every_byte_outside_the_constants_of_the_head_is_unchanged(classifier):
    merged, _ = merged_with(classifier, random_head(5, scale=2))
    old, new = classifier.data, merged.data
    assert len(new) == len(old)
    model, changed_model = onnx.load_from_string(old), onnx.load_from_string(new)
    allowed = np.zeros(len(old), bool)
    names = constants_near_the_head(model)
    for tensor in model.graph.initializer:
        if tensor.name in names:
            written = tensor.SerializeToString()
            assert old.count(written) == 1
            start = old.index(written)
            allowed[start : start + len(written)] = True
    changed = np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8)
    assert changed.any()
    assert not (changed & ~allowed).any()
    # Within them, names, shapes and types stay.
    for before, after in zip(model.graph.initializer, changed_model.graph.initializer, strict=True):
        if before.name in names:
            assert (before.name, before.dims, before.data_type) == (after.name, after.dims, after.data_type)
            after.CopyFrom(before)
    assert changed_model == model


@each("u8", "u8-gemm", "s8", "u8-matmul")
def test_the_reference_evaluator_agrees_with_onnx_runtime_on_the_new_head(classifier):
    merged, _ = merged_with(classifier, random_head(6))
    split = split_onnx_head(merged)
    (embeddings,) = run(split.backbone.data)
    view, backbone = (onnx.load_from_string(part.data).graph for part in (split.logits_view, split.backbone))
    upstream = {name for node in backbone.node for name in node.output}
    spec = split.info.embedding
    graph = helper.make_graph(
        [node for node in view.node if node.output[0] not in upstream],
        "head",
        [value(spec.name, ["n", FEATURES], helper.np_dtype_to_tensor_dtype(spec.numpy_dtype))],
        view.output,
        view.initializer,
    )
    # The evaluator knows these operators from opset 19 on, where nothing changed for int8.
    head = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (reference,) = ReferenceEvaluator(head).run(None, {spec.name: embeddings})
    (codes,) = run(split.logits_view.data)
    assert np.abs(reference.astype(int) - codes.astype(int)).max() <= 1


@each("u8")
@pytest.mark.parametrize("logits_range", [(-1.0, 30.0), (-30.0, 1.0), (-30.0, -1.0), (0.0, 0.0)])
def test_a_zero_point_may_become_any_code_in_the_same_size(classifier, logits_range):
    merged = merge_onnx_head(classifier, random_head(1), logits_range)
    assert len(merged.data) == len(classifier.data)
    onnx.checker.check_model(merged.data, full_check=True)
    info = split_onnx_head(merged).info
    by_name = {i.name: numpy_helper.to_array(i) for i in onnx.load_from_string(merged.data).graph.initializer}
    assert info.logits.quantization is not None
    assert by_name["logits_zero_point"] == info.logits.quantization.zero_point
    assert by_name["logits_scale"] == np.float32(info.logits.quantization.scale)
    assert run(merged.data)[0].shape == (len(X), CLASSES)


@each("s8", "s8-matmul")
def test_symmetric_activations_stay_symmetric(classifier):
    merged = merge_onnx_head(classifier, random_head(1), (-3.0, 40.0))
    for tensor in onnx.load_from_string(merged.data).graph.initializer:
        if tensor.name.endswith("zero_point"):
            assert not numpy_helper.to_array(tensor).any()


@each("u8")
def test_a_class_of_zero_weights_keeps_its_bias(classifier):
    head = random_head(1)
    weights, bias = head.weights.copy(), head.bias.copy()
    weights[2], bias[2] = 0, 3.5
    merged, wanted = merged_with(classifier, SoftmaxHead(weights, bias))
    split = split_onnx_head(merged)
    assert split.info.logits.quantization is not None
    logits = real(run(split.logits_view.data)[0], split.info.logits)
    assert np.abs(logits - wanted).max() <= 1.25 * split.info.logits.quantization.scale


@each("float-matmul", "u8")
def test_softmax_is_told_from_logits(classifier):
    assert onnx_has_softmax(classifier)
    assert not onnx_has_softmax(split_onnx_head(classifier).logits_view)


@each("u8")
def test_a_reshape_between_logits_and_softmax_takes_the_new_quantization_along(classifier):
    model = onnx.load_from_string(classifier.data)
    by_name = {i.name: i for i in model.graph.initializer}
    for kind in ("scale", "zero_point"):
        copy = model.graph.initializer.add()
        copy.CopyFrom(by_name[f"logits_{kind}"])
        copy.name = f"reshaped_{kind}"
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, CLASSES], np.int64), "logits_shape"))
    index = next(i for i, n in enumerate(model.graph.node) if n.op_type == "Softmax")
    quantizer = ["reshaped_scale", "reshaped_zero_point"]
    inserted = [
        helper.make_node("Reshape", [model.graph.node[index].input[0], "logits_shape"], ["reshaped"]),
        helper.make_node("QuantizeLinear", ["reshaped", *quantizer], ["reshaped_q"]),
        helper.make_node("DequantizeLinear", ["reshaped_q", *quantizer], ["reshaped_dq"]),
    ]
    model.graph.node[index].input[0] = "reshaped_dq"
    for node in reversed(inserted):
        model.graph.node.insert(index, node)
    onnx.checker.check_model(model, full_check=True)
    artifact = Artifact("model.onnx", "onnx", model.SerializeToString())
    merged = merge_onnx_head(artifact, random_head(1), (-20.0, 60.0))
    new = {i.name: numpy_helper.to_array(i) for i in onnx.load_from_string(merged.data).graph.initializer}
    for kind in ("scale", "zero_point"):
        assert new[f"reshaped_{kind}"] == new[f"logits_{kind}"] != numpy_helper.to_array(by_name[f"logits_{kind}"])
    assert len(merged.data) == len(artifact.data)


def sharing(classifier, ir_version=8):
    """As tools write it that store equal constants once: the logits' quantization is also the embedding's."""
    model = onnx.load_from_string(classifier.data)
    model.ir_version = ir_version
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name in ("logits_scale", "logits_zero_point"):
                node.input[i] = name.replace("logits", "embedding")
    return Artifact("model.onnx", "onnx", model.SerializeToString())


@each("u8")
def test_a_constant_shared_with_another_layer_is_given_a_double(classifier):
    artifact = sharing(classifier)
    before = split_onnx_head(artifact)
    merged, wanted = merged_with(artifact, random_head(8))
    onnx.checker.check_model(merged.data, full_check=True)
    after = split_onnx_head(merged)
    assert after.info.embedding == before.info.embedding
    np.testing.assert_array_equal(run(after.backbone.data)[0], run(before.backbone.data)[0])
    assert after.info.logits.quantization is not None
    logits = real(run(after.logits_view.data)[0], after.info.logits)
    assert np.abs(logits - wanted).max() <= 1.25 * after.info.logits.quantization.scale
    again = merge_onnx_head(merged, random_head(9), (-3.0, 3.0))
    assert len(again.data) == len(merged.data)


@each("u8")
def test_a_shared_constant_of_an_old_file_is_refused_by_name(classifier):
    with pytest.raises(ModelError, match=r"shares 'embedding_scale' with QuantizeLinear .* IR version 3"):
        merge_onnx_head(sharing(classifier, ir_version=3), random_head(1), (-5.0, 5.0))


@each("u8")
def test_a_graph_input_that_only_holds_a_dropped_constant_goes_with_it(classifier):
    model = onnx.load_from_string(classifier.data)
    for tensor in model.graph.initializer:
        model.graph.input.append(value(tensor.name, list(tensor.dims), tensor.data_type))
    split = split_onnx_head(Artifact("model.onnx", "onnx", model.SerializeToString()))
    graph = onnx.load_from_string(split.backbone.data).graph
    assert {i.name for i in graph.input} == {"input"} | {i.name for i in graph.initializer}


def tiny(*nodes, outputs=("y",), **constants):
    graph = helper.make_graph(
        list(nodes),
        "g",
        [value("x", ["n", FEATURES])],
        [value(name, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Artifact("model.onnx", "onnx", model.SerializeToString())


WEIGHTS = np.ones((FEATURES, CLASSES))
RELU = helper.make_node("Relu", ["x"], ["e"])
MATMUL = helper.make_node("MatMul", ["e", "w"], ["m"])


@pytest.mark.parametrize(
    ("artifact", "what"),
    [
        (tiny(helper.make_node("Relu", ["x"], ["y"], "last_relu")), "ends with Relu 'last_relu', not with a fully"),
        (tiny(helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Flatten", ["c"], ["y"]), w=1), "Conv 'c'"),
        (tiny(helper.make_node("Add", ["x", "x"], ["y"], "sum")), "Add 'sum'"),
        (tiny(RELU, helper.make_node("Add", ["e", "b"], ["y"], "shift"), b=np.ones(CLASSES)), "Add 'shift'"),
        (tiny(RELU, outputs=("e", "e")), "2 outputs"),
        (tiny(RELU, outputs=("x",)), "no layer writes 'x'"),
        (tiny(helper.make_node("Softmax", ["y"], ["y"])), None),
        (tiny(RELU, MATMUL, helper.make_node("Softmax", ["m"], ["y"], axis=0), w=WEIGHTS), "Softmax"),
        (tiny(RELU, MATMUL, helper.make_node("Cast", ["m"], ["y"], to=7), w=WEIGHTS), "Cast"),
    ],
)  # fmt: skip
def test_a_graph_without_a_last_layer_is_named_by_what_it_ends_with(artifact, what):
    with pytest.raises(NoHeadError if what else ModelError, match=what):
        split_onnx_head(artifact)


@pytest.mark.parametrize(
    ("artifact", "what"),
    [
        (tiny(RELU, helper.make_node("Gemm", ["e", "w"], ["y"], alpha=0.5), w=WEIGHTS), "alpha = beta = 1"),
        (tiny(RELU, helper.make_node("Gemm", ["e", "w"], ["y"], transA=1), w=WEIGHTS), "transA"),
        (tiny(RELU, helper.make_node("MatMul", ["e", "e"], ["y"])), "'e', is not a constant"),
        (tiny(RELU, helper.make_node("MatMul", ["e", "w"], ["y"]), w=np.ones(3)), r"weights of shape \[3\]"),
        (tiny(RELU, helper.make_node("Gemm", ["e", "w", "b"], ["y"]), w=WEIGHTS, b=1), r"bias of shape \[\]"),
        (tiny(RELU, helper.make_node("Gemm", ["e", "w", "b"], ["g"]), helper.make_node("Add", ["g", "b"], ["y"]),
              w=WEIGHTS, b=np.ones(CLASSES)), "fold them into one"),
        (tiny(helper.make_node("Gemm", ["x", "w"], ["y"]), w=WEIGHTS), "nothing is left before the last layer"),
        (tiny(RELU, helper.make_node("Gemm", ["e", "w"], ["y"]), w=WEIGHTS * np.nan), "NaN or infinity"),
    ],
)  # fmt: skip
def test_a_last_layer_of_an_unknown_form_is_refused_with_the_reason(artifact, what):
    with pytest.raises(ModelError, match=what):
        split_onnx_head(artifact)


@each("s8-pairs")
def test_a_scale_that_is_not_a_constant_is_refused_wherever_it_stands(classifier):
    for op in ("QuantizeLinear", "DequantizeLinear"):
        model = onnx.load_from_string(classifier.data)
        node = next(n for n in model.graph.node if n.op_type == op and "w2_scale" in n.input)
        node.input[1] = "nothing"
        with pytest.raises(ModelError, match=f"input 1 of {op} .*, 'nothing', is not a constant"):
            merge_onnx_head(Artifact("model.onnx", "onnx", model.SerializeToString()), random_head(1), (-1.0, 1.0))


def test_the_bias_may_stand_on_either_side_of_the_add():
    head = random_head(2)
    nodes = [RELU, helper.make_node("MatMul", ["e", "w"], ["m"]), helper.make_node("Add", ["b", "m"], ["y"])]
    artifact = tiny(*nodes, w=head.weights.T, b=head.bias)
    found = split_onnx_head(artifact).head
    np.testing.assert_array_equal(found.weights, head.weights)
    np.testing.assert_array_equal(found.bias, head.bias)
    new = random_head(3)
    np.testing.assert_array_equal(split_onnx_head(merge_onnx_head(artifact, new, (-1, 1))).head.weights, new.weights)


def test_a_head_without_bias_takes_only_one_without():
    artifact = tiny(RELU, helper.make_node("Gemm", ["e", "w"], ["y"], "fc"), w=WEIGHTS)
    head = random_head(1)
    assert not split_onnx_head(artifact).head.bias.any()
    with pytest.raises(ModelError, match="Gemm 'fc' has no bias, but the new head has one"):
        merge_onnx_head(artifact, head, (-5, 5))
    merged = merge_onnx_head(artifact, SoftmaxHead(head.weights, head.bias * 0), (-5, 5))
    np.testing.assert_array_equal(split_onnx_head(merged).head.weights, head.weights)


def test_weights_in_a_constant_node_are_found_and_changed():
    held = numpy_helper.from_array(WEIGHTS.astype(np.float32))
    nodes = [RELU, helper.make_node("Constant", [], ["w"], value=held), helper.make_node("MatMul", ["e", "w"], ["y"])]
    artifact, new = tiny(*nodes), random_head(1)
    merged = merge_onnx_head(artifact, SoftmaxHead(new.weights, new.bias * 0), (-5, 5))
    x = X.ravel()[: 50 * FEATURES].reshape(50, FEATURES)
    np.testing.assert_allclose(run(merged.data, x)[0], np.maximum(x, 0) @ new.weights.T, atol=1e-5)
    assert len(merged.data) == len(artifact.data)


def test_float16_weights_keep_their_type_and_refuse_what_does_not_fit():
    held = numpy_helper.from_array(WEIGHTS.astype(np.float16))
    nodes = [RELU, helper.make_node("Constant", [], ["w"], value=held), helper.make_node("MatMul", ["e", "w"], ["y"])]
    artifact, zero = tiny(*nodes), np.zeros(CLASSES)
    merged = merge_onnx_head(artifact, SoftmaxHead(np.full((CLASSES, FEATURES), 0.5), zero), (-5, 5))
    assert (split_onnx_head(merged).head.weights == 0.5).all()
    assert split_onnx_head(merged).info.weights_dtype == "float16"
    with pytest.raises(ModelError, match="goes beyond float16"):
        merge_onnx_head(artifact, SoftmaxHead(np.full((CLASSES, FEATURES), 1e6), zero), (-5, 5))


def test_weights_of_uint8_with_a_zero_point_are_read_and_written(tmp_path):
    model = gemm_classifier()
    onnx.save(model, tmp_path / "f.onnx")
    quantize_static(
        str(tmp_path / "f.onnx"),
        str(tmp_path / "q.onnx"),
        Calibration(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QUInt8,
    )
    artifact = Artifact("q.onnx", "onnx", (tmp_path / "q.onnx").read_bytes())
    split = split_onnx_head(artifact)
    assert split.info.weights_dtype == "uint8"
    weights = numpy_helper.to_array(next(i for i in model.graph.initializer if i.name == "fc_w"))
    assert np.abs(split.head.weights - weights).max() <= np.ptp(weights) / 255
    merged, wanted = merged_with(artifact, random_head(1))
    after = split_onnx_head(merged)
    assert after.info.logits.quantization is not None
    logits = real(run(after.logits_view.data)[0], after.info.logits)
    assert np.abs(logits - wanted).max() <= 2 * after.info.logits.quantization.scale
    assert len(merged.data) == len(artifact.data)


@each("u8")
@pytest.mark.parametrize(
    ("head", "what"),
    [
        (SoftmaxHead(np.ones((CLASSES + 1, FEATURES)), np.ones(CLASSES + 1)), "5 classes x 12 features, the new head"),
        (SoftmaxHead(np.ones((CLASSES, FEATURES - 1)), np.ones(CLASSES)), "12 features"),
        (SoftmaxHead(np.ones((CLASSES, FEATURES)), np.ones(CLASSES - 1)), "bias"),
        (SoftmaxHead(np.full((CLASSES, FEATURES), np.nan), np.ones(CLASSES)), "NaN or infinity"),
        (SoftmaxHead(np.ones((CLASSES, FEATURES)), np.full(CLASSES, np.inf)), "NaN or infinity"),
    ],
)  # fmt: skip
def test_a_head_that_does_not_fit_is_refused(classifier, head, what):
    with pytest.raises(ModelError, match=what):
        merge_onnx_head(classifier, head, (-1.0, 1.0))


@each("u8")
@pytest.mark.parametrize("logits_range", [(1.0, -1.0), (np.nan, 1.0), (-np.inf, 1.0)])
def test_a_range_that_is_none_is_refused(classifier, logits_range):
    with pytest.raises(ModelError, match="range of the logits"):
        merge_onnx_head(classifier, random_head(1), logits_range)


@each("u8", "float-matmul", "u8-matmul")
def test_damaged_files_raise_our_errors_and_take_no_memory(classifier):
    rng = np.random.default_rng(0)
    head = random_head(1)
    tracemalloc.start()
    try:
        for trial in range(120):
            data = bytearray(classifier.data)
            if trial % 4 == 0:
                data = data[: rng.integers(len(data))]
            else:
                for position in rng.integers(len(data), size=rng.integers(1, 6)):
                    data[position] = rng.integers(256)
            artifact = Artifact("model.onnx", "onnx", bytes(data))
            for use in (split_onnx_head, op_versions, read_onnx_metadata, onnx_has_softmax):
                try:
                    use(artifact)
                except EdgeCnnError as error:
                    assert "\n" not in str(error)  # noqa: PT017 - most trials raise nothing
            with contextlib.suppress(EdgeCnnError):
                merge_onnx_head(artifact, head, (-1.0, 1.0))
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
