"""More and fewer classes in `.tflite` files, judged by LiteRT, the schema's generated code and the older runtime."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact, read_artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.head.class_change import ClassChange, change_classes
from edge_cnn.device.head.surgery import resize_head, split_head
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.metadata import read_tflite_metadata
from tests.device.tflite_kinds import KINDS, last_operator
from tests.device.tflite_oracle import (
    MLPERF,
    changed,
    check_other_bytes,
    check_split,
    interpreters,
    merged_with,
    real,
    run,
    run_in_old_runtime,
    samples,
    schema,
)

OLD = tuple("abcdefghij")
CHANGES = {
    "more": change_classes(OLD, (*OLD, "new", "newer")),
    "fewer": change_classes(OLD, tuple("acdefgj")),
    "both": change_classes(OLD, tuple("jihxgyfe")),
}
DENSE = ["float32", "int8", "int8-per-tensor", "uint8-io", "float-io", "int16x8", "hybrid", "no-softmax"]
DENSE += ["no-softmax-uint8-io"]


@pytest.fixture
def file(request, tflite_models, kinds) -> Artifact:
    return (tflite_models | kinds)[request.param]


each_file = pytest.mark.parametrize("file", [*DENSE, *KINDS], indirect=True)
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def kept(change: ClassChange) -> tuple[list[int], list[int]]:
    """Places of the classes that stay, before and after."""
    pairs = [(source, place) for place, source in enumerate(change.sources) if source >= 0]
    return [s for s, _ in pairs], [p for _, p in pairs]


@each_file
@each_change
def test_classes_that_stay_have_the_very_logits_that_they_had(file, change):
    resized, inputs = resize_head(file, change), samples(file)
    before, after = kept(change)
    view, old_view = split_head(resized).logits_view.data, split_head(file).logits_view.data
    for reference in (True, False):
        old = run(old_view, inputs, reference=reference)
        new = run(view, inputs, reference=reference)
        assert new.shape == (len(inputs), len(change.sources))
        if old.dtype == np.float32:
            np.testing.assert_allclose(new[:, after], old[:, before], rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(new[:, after], old[:, before])
        for place in change.added:
            assert (new[:, place] <= new.min(axis=1)).all()


@each_file
@each_change
def test_the_whole_file_answers_as_before_among_the_classes_that_stay(file, change):
    resized, inputs = resize_head(file, change), samples(file)
    before, after = kept(change)
    old = run(split_head(file).logits_view.data, inputs, reference=False)[:, before]
    answers = run(resized.data, inputs, reference=False)
    assert answers.shape == (len(inputs), len(change.sources))
    best = np.array(after)[old.argmax(axis=1)]
    top = answers[np.arange(len(inputs)), best]
    # A tie in the output's codes is no other answer.
    assert (top == answers.max(axis=1)).all()


@each_file
def test_a_signature_gives_the_new_number_of_scores(file):
    change = CHANGES["both"]
    runner = interpreters.Interpreter(model_content=resize_head(file, change).data).get_signature_runner()
    (details,) = runner.get_output_details().values()
    assert tuple(details["shape"]) == (1, len(change.sources))


@each_file
@each_change
def test_only_what_has_one_entry_a_class_differs_in_the_tree_of_the_file(file, change):
    old, new = (schema.ModelT.InitFromPackedBuf(a.data, 0) for a in (file, resize_head(file, change)))
    classes, count = len(OLD), len(change.sources)
    graph, other = old.subgraphs[0], new.subgraphs[0]
    assert len(graph.tensors) == len(other.tensors)
    resized = set()
    for before, after in zip(graph.tensors, other.tensors, strict=True):
        assert (before.name, before.type, before.buffer) == (after.name, after.type, after.buffer)
        old_shape, new_shape = (list(t.shape) if t.shape is not None else [] for t in (before, after))
        if old_shape != new_shape:
            resized.add(before.buffer)
            assert [count if size == classes else size for size in old_shape] == new_shape
    # The class names that the file did not tell take one more buffer, and one more entry.
    assert [len(new.buffers) - len(old.buffers), len(new.metadata) - len(old.metadata)] == [1, 1]
    assert new.metadata[-1].name == b"TFLITE_METADATA"
    assert new.metadata[-1].buffer == len(old.buffers)
    for number, (before, after) in enumerate(zip(old.buffers, new.buffers[:-1], strict=True)):
        if number not in resized:
            told = before.data is not None and classes in np.asarray(before.data)
            assert told or np.array_equal(before.data, after.data)
    for before, after in zip(graph.operators, other.operators, strict=True):
        assert (before.opcodeIndex, list(before.inputs), list(before.outputs)) == (
            after.opcodeIndex,
            list(after.inputs),
            list(after.outputs),
        )
    assert [list(graph.inputs), list(graph.outputs)] == [list(other.inputs), list(other.outputs)]


@each_file
@each_change
def test_the_resized_file_can_be_taken_apart_and_taught(file, change):
    resized = resize_head(file, change)
    check_split(resized)
    check_other_bytes(resized)
    merged, head, embeddings, inputs = merged_with(resized)
    view = split_head(merged)
    logits = head.logits(embeddings)
    np.testing.assert_allclose(
        real(run(view.logits_view.data, inputs), view.info.logits), logits, atol=0.02 * np.ptp(logits)
    )


@each_file
def test_fewer_classes_make_the_file_hardly_longer(file):
    assert len(resize_head(file, CHANGES["fewer"]).data) - len(file.data) < 2000


@each_file
def test_there_and_back_gives_the_same_head(file):
    there = resize_head(file, CHANGES["more"])
    back = resize_head(there, change_classes(CHANGES["more"].labels, OLD))
    for part in ("weights", "bias"):
        np.testing.assert_array_equal(getattr(split_head(back).head, part), getattr(split_head(file).head, part))


@pytest.mark.parametrize("file", ["int8"], indirect=True)
def test_constants_stay_aligned_for_kernels_that_read_them_in_place(file):
    data = resize_head(file, CHANGES["more"]).data
    model = schema.Model.GetRootAs(data)
    tree = schema.ModelT.InitFromPackedBuf(data, 0)
    dense = last_operator(tree, schema.BuiltinOperator.FULLY_CONNECTED)
    start = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    for tensor in dense.inputs[1:]:
        stored = model.Buffers(tree.subgraphs[0].tensors[tensor].buffer).DataAsNumpy()
        assert (stored.__array_interface__["data"][0] - start) % 16 == 0


def test_the_new_files_run_in_the_older_tflite_runtime(tflite_models, kinds, tmp_path):
    jobs: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for name, file in (tflite_models | kinds).items():
        # It refuses the first two, FULLY_CONNECTED 12 and DEQUANTIZE 5; the others have no head, or none that can grow.
        if name in ("hybrid", "dense-weight-only", "no-dense", "no-bias", "int16x8"):
            continue
        for kind, change in CHANGES.items():
            merged, head, embeddings, inputs = merged_with(resize_head(file, change))
            split = split_head(merged)
            jobs[f"{name}/{kind}"] = (split.logits_view, inputs, "")
            wanted[f"{name}/{kind}"] = (split.info.logits, head.logits(embeddings))
    results = run_in_old_runtime(tmp_path, jobs)
    for name, (spec, logits) in wanted.items():
        for reference in (True, False):
            np.testing.assert_allclose(real(results[name, reference], spec), logits, atol=0.02 * np.ptp(logits))


def test_label_files_tell_the_new_names_and_other_members_stay(artifacts):
    file = artifacts["int8.tflite"]
    labels, normalization = read_tflite_metadata(file)
    assert labels is not None
    data = io.BytesIO(file.data)
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("licence.txt", "as it was")
    file = Artifact(file.name, file.format, data.getvalue())
    resized = resize_head(file, change_classes(labels, (*labels[1:4], "käse", "no digit")))
    assert read_tflite_metadata(resized) == ((*labels[1:4], "käse", "no digit"), normalization)
    with zipfile.ZipFile(io.BytesIO(resized.data)) as archive:
        assert archive.testzip() is None
        assert archive.read("licence.txt") == b"as it was"


@each_file
def test_a_file_that_told_no_class_names_tells_them(file):
    assert read_tflite_metadata(file) == (None, None)
    resized = resize_head(file, CHANGES["both"])
    assert read_tflite_metadata(resized)[0] == CHANGES["both"].labels
    again = resize_head(resized, change_classes(CHANGES["both"].labels, ("x", "i")))
    assert read_tflite_metadata(again)[0] == ("x", "i")
    tree = schema.ModelT.InitFromPackedBuf(again.data, 0)
    assert [entry.name for entry in tree.metadata].count(b"TFLITE_METADATA") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "pretrainedResnet", "kws_ref_model"])
def test_models_of_mlperf_tiny_take_more_and_fewer_classes(name):
    if MLPERF is None:
        pytest.skip("the MLPerf Tiny models are not here; EDGE_CNN_DATA=FOLDER names where they are")
    file = read_artifact(MLPERF / f"{name}.tflite")
    old = [str(i) for i in range(split_head(file).info.classes)]
    for new in ([*old, "more"], old[3:]):
        change = change_classes(old, new)
        resized, inputs = resize_head(file, change), samples(file)
        before, after = kept(change)
        answers = [run(split_head(a).logits_view.data, inputs) for a in (file, resized)]
        np.testing.assert_array_equal(answers[0][:, before], answers[1][:, after])
        check_split(resized)


def test_a_layer_without_bias_takes_fewer_classes_but_no_more(tflite_models):
    file = tflite_models["no-bias"]
    resized = resize_head(file, CHANGES["fewer"])
    assert read_tflite(resized).outputs[0].shape[-1] == 7
    with pytest.raises(ModelError, match="has no bias, which a new class needs"):
        resize_head(file, CHANGES["more"])


def test_a_change_from_another_number_of_classes_is_refused(tflite_models):
    with pytest.raises(ModelError, match="has 10 classes, the change is from 2"):
        resize_head(tflite_models["int8"], change_classes(["a", "b"], ["a", "b", "c"]))


def test_a_reshape_that_takes_the_classes_apart_is_refused(kinds):
    def apart(tree: Any) -> None:
        reshape = last_operator(tree, schema.BuiltinOperator.RESHAPE)
        for tensor in (reshape.outputs[0], *tree.subgraphs[0].outputs):
            tree.subgraphs[0].tensors[tensor].shape = [1, 2, 5]
            tree.subgraphs[0].tensors[tensor].shapeSignature = None

    with pytest.raises(ModelError, match=r"of shape \[1, 2, 5\] has no dimension of 10 classes"):
        resize_head(changed(kinds["conv-int8"], apart), CHANGES["more"])


def test_weights_that_another_tensor_shares_are_not_resized(tflite_models):
    def share(tree: Any) -> None:
        graph = tree.subgraphs[0]
        dense = last_operator(tree, schema.BuiltinOperator.FULLY_CONNECTED)
        twin = schema.TensorT()
        vars(twin).update(vars(graph.tensors[dense.inputs[1]]))
        twin.name = b"the other one"
        graph.tensors.append(twin)

    with pytest.raises(ModelError, match="shares bytes of the file with 'the other one'"):
        resize_head(changed(tflite_models["int8"], share), CHANGES["more"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHANGES)
def test_tflite_micro_runs_resized_files_and_keeps_the_very_logits_of_classes_that_stay(
    ready_device, tflite_models, kinds, kind
):
    device, (before, after) = ready_device("tflm"), kept(CHANGES[kind])

    def codes_of(artifact: Artifact) -> np.ndarray:
        return device.open(artifact, "tflm").run([inputs])[0].reshape(len(inputs), -1)

    # int8 throughout: what boards run.
    for name in ("int8", "int8-per-tensor", "no-softmax", "conv-int8", "conv-int8-no-softmax"):
        file = (tflite_models | kinds)[name]
        inputs, resized = samples(file), resize_head(file, CHANGES[kind])
        old, new = (codes_of(split_head(a).logits_view) for a in (file, resized))
        np.testing.assert_array_equal(new[:, after], old[:, before])
        merged, head, embeddings, _ = merged_with(resized)
        view = split_head(merged)
        logits = head.logits(embeddings)
        np.testing.assert_allclose(
            real(codes_of(view.logits_view), view.info.logits), logits, atol=0.02 * np.ptp(logits)
        )
        assert codes_of(merged).shape == (len(inputs), len(CHANGES[kind].sources))


def test_a_damaged_archive_of_label_files_is_named(artifacts):
    file = artifacts["int8.tflite"]
    labels, _ = read_tflite_metadata(file)
    assert labels is not None
    place = file.data.rindex(b"labels.txt")
    data = file.data[:place] + b"l\xe2bels.txt" + file.data[place + 10 :]
    with pytest.raises(ModelError, match=r"damaged \.tflite: the archive of label files behind the model"):
        resize_head(Artifact(file.name, file.format, data), change_classes(labels, labels[1:]))


def test_an_archive_that_unpacks_to_gigabytes_is_refused(artifacts):
    file = artifacts["int8.tflite"]
    labels, _ = read_tflite_metadata(file)
    assert labels is not None
    data = io.BytesIO(file.data)
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(65 * 2**20))
    with pytest.raises(ModelError, match="take more than 67108864 bytes"):
        resize_head(Artifact(file.name, file.format, data.getvalue()), change_classes(labels, labels[1:]))
