"""More and fewer classes in `.onnx` files, judged by the onnx package and ONNX Runtime."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.head.class_change import change_classes
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.surgery import resize_head, split_head
from edge_cnn.device.onnx.head import merge_onnx_head
from edge_cnn.device.onnx.metadata import LABELS, read_onnx_metadata
from tests.device import onnx_kinds, test_onnx_head
from tests.device.onnx_oracle import FEATURES, X, real, run, value

OLD = tuple("abcde")
CHANGES = {
    "more": change_classes(OLD, (*OLD, "new", "newer")),
    "fewer": change_classes(OLD, ("b", "c", "e")),
    "both": change_classes(OLD, ("e", "new", "c", "a")),
}
KINDS = (*test_onnx_head.VARIANTS, *onnx_kinds.KINDS)
_BUILT: dict[str, Artifact] = {}


@pytest.fixture
def file(request, tmp_path_factory):
    kind = request.param
    if kind not in _BUILT:
        make = test_onnx_head.build if kind in test_onnx_head.VARIANTS else onnx_kinds.build
        made = make(kind, tmp_path_factory.mktemp(kind))
        _BUILT[kind] = Artifact(f"{kind}.onnx", "onnx", made if isinstance(made, bytes) else made.SerializeToString())
    return _BUILT[kind]


each_file = pytest.mark.parametrize("file", KINDS, indirect=True)
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def logits_of(artifact):
    split = split_head(artifact)
    return run(split.logits_view.data)[0].reshape(len(X), -1), split.info.logits


def kept(change):
    pairs = [(source, place) for place, source in enumerate(change.sources) if source >= 0]
    return [s for s, _ in pairs], [p for _, p in pairs]


@each_file
@each_change
def test_classes_that_stay_have_the_very_logits_that_they_had(file, change):
    resized = resize_head(file, change)
    onnx.checker.check_model(resized.data, full_check=True)
    before, after = kept(change)
    (old, spec), (new, _) = logits_of(file), logits_of(resized)
    assert new.shape == (len(X), len(change.sources))
    if spec.quantization is None:
        # Half precision sums in another order where the matrix has another width.
        atol = 1e-2 if "float16" in file.name else 1e-4
        np.testing.assert_allclose(new[:, after], old[:, before], rtol=0, atol=atol)
    else:
        np.testing.assert_array_equal(new[:, after], old[:, before])
    for place in change.added:
        # The 8-bit bias of an Add that was not fused reaches as low as that of the lowest old class.
        assert (new[:, place] <= (new.mean(axis=1) if "matmul" in file.name else new.min(axis=1))).all()


@each_file
def test_the_output_is_declared_with_the_new_number_of_classes(file):
    resized = onnx.load_from_string(resize_head(file, CHANGES["more"]).data)
    (output,) = resized.graph.output
    assert [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim] == ["n", 7]
    inferred = onnx.shape_inference.infer_shapes(resized, check_type=True, strict_mode=True, data_prop=True)
    assert inferred.graph.output[0] == output
    scores = run(resized.SerializeToString())[0]
    assert scores.shape == (len(X), 7)


@each_file
@each_change
def test_the_resized_file_can_be_taught(file, change):
    resized = resize_head(file, change)
    split = split_head(resized)
    embeddings = real(run(split.backbone.data)[0], split.info.embedding).reshape(len(X), -1).astype(np.float64)
    rng = np.random.default_rng(9)
    head = SoftmaxHead(rng.normal(size=(len(change.sources), FEATURES)), rng.normal(size=len(change.sources)))
    wanted = head.logits(embeddings)
    merged = merge_onnx_head(resized, head, (float(wanted.min()), float(wanted.max())))
    onnx.checker.check_model(merged.data, full_check=True)
    codes, spec = logits_of(merged)
    assert np.abs(real(codes, spec) - wanted).max() <= 0.02 * np.ptp(wanted)


@each_file
def test_everything_before_the_layer_stays(file):
    change = CHANGES["both"]
    old, new = (onnx.load_from_string(split_head(a).backbone.data).graph for a in (file, resize_head(file, change)))
    assert old == new


@each_file
def test_there_and_back_gives_the_same_head(file):
    there = resize_head(file, CHANGES["more"])
    back = resize_head(there, change_classes(CHANGES["more"].labels, OLD))
    for part in ("weights", "bias"):
        np.testing.assert_array_equal(getattr(split_head(back).head, part), getattr(split_head(file).head, part))


@pytest.mark.parametrize("file", ["u8"], indirect=True)
def test_class_names_travel_in_the_metadata_and_other_entries_stay(file):
    model = onnx.load_from_string(file.data)
    helper.set_model_props(model, {"licence": "as it was", LABELS: json.dumps(OLD)})
    file = Artifact(file.name, "onnx", model.SerializeToString())
    resized = resize_head(file, change_classes(OLD, ("b", "käse")))
    assert read_onnx_metadata(resized)[0] == ("b", "käse")
    props = onnx.load_from_string(resized.data).metadata_props
    assert {p.key: p.value for p in props} == {"licence": "as it was", LABELS: '["b", "käse"]'}


@pytest.mark.parametrize("file", ["conv-transposed"], indirect=True)
def test_a_reshape_constant_that_another_node_reads_is_given_a_double(file):
    model = onnx.load_from_string(file.data)
    model.graph.node.append(helper.make_node("Identity", ["shape"], ["unrelated"]))
    shared = Artifact("m.onnx", "onnx", model.SerializeToString())
    resized = onnx.load_from_string(resize_head(shared, CHANGES["fewer"]).data)
    onnx.checker.check_model(resized, full_check=True)
    stored = {i.name: numpy_helper.to_array(i).tolist() for i in resized.graph.initializer}
    assert stored["shape"] == [-1, 5]
    assert [-1, 3] in stored.values()


@pytest.mark.parametrize("file", ["float-gemm"], indirect=True)
def test_constants_that_old_files_list_as_inputs_are_declared_with_their_new_shapes(file):
    model = onnx.load_from_string(file.data)
    for tensor in model.graph.initializer:
        model.graph.input.append(value(tensor.name, list(tensor.dims), tensor.data_type))
    resized = resize_head(Artifact("m.onnx", "onnx", model.SerializeToString()), CHANGES["more"])
    onnx.checker.check_model(resized.data, full_check=True)
    declared = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in onnx.load_from_string(resized.data).graph.input
    }
    assert declared["fc_w"] == [7, FEATURES]
    assert declared["fc_b"] == [7]


@pytest.mark.parametrize("file", ["float-gemm"], indirect=True)
def test_a_layer_without_bias_takes_fewer_classes_but_no_more(file):
    model = onnx.load_from_string(file.data)
    del model.graph.node[-1].input[2]
    bare = Artifact("m.onnx", "onnx", model.SerializeToString())
    assert run(resize_head(bare, CHANGES["fewer"]).data)[0].shape == (len(X), 3)
    with pytest.raises(ModelError, match="Gemm 'fc' has no bias, which a new class needs"):
        resize_head(bare, CHANGES["more"])


@pytest.mark.parametrize("file", ["float-gemm"], indirect=True)
def test_a_change_from_another_number_of_classes_is_refused(file):
    with pytest.raises(ModelError, match="has 5 classes, the change is from 2"):
        resize_head(file, change_classes(["a", "b"], ["a", "b", "c"]))
