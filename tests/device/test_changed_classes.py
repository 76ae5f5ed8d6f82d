"""Fine-tuning that adds and removes classes, on real digits."""

import contextlib
import json

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import read_bundle
from edge_cnn.core.errors import DataError, EdgeCnnError, InputError
from edge_cnn.device.finetuning.finetuning import finetune
from edge_cnn.device.head.changed_classes import with_classes
from edge_cnn.device.head.class_change import change_classes
from edge_cnn.device.head.class_imprinting import imprint_classes, without_classes
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.surgery import resize_head
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.runtimes.table import open_runtime, reference_runtime
from edge_cnn.device.training.embedding_rows import dense_rows
from edge_cnn.device.training.head_training import to_parameters

TEN = tuple(str(digit) for digit in range(10))
ARTIFACTS = ("int8.tflite", "int8.onnx", "float32.tflite", "float32.onnx")
PER_CLASS = 50


def names_of(labels):
    return [str(label) for label in labels.tolist()]


def few(samples, classes, count, *, skip=0):
    """`count` samples of each of the classes, behind the first `skip`."""
    rows = np.concatenate([np.flatnonzero(samples.labels == label)[skip : skip + count] for label in classes])
    return samples.select(rows)


@pytest.fixture(scope="module")
def artifact_names(eight_digits_path):
    return {f"{e.scheme}.{e.format}": e.name for e in read_bundle(eight_digits_path).manifest.artifacts}


@pytest.mark.slow
@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_two_classes_of_fifty_samples_are_learned_and_the_old_ones_kept(
    eight_digits_path, artifact_names, digits_split, key
):
    """Over seven draws of them: recall of the new classes at least 90 %, at most 2 points lost on the old ones."""
    train, test = digits_split
    classifier = open_classifier(eight_digits_path, artifact=artifact_names[key])
    old = test.labels < 8
    before = np.mean(classifier.predict(test.images[old]).indices == test.labels[old])
    lost, recalls = [], []
    for draw in range(7):
        taught = few(train, (8, 9), PER_CLASS, skip=PER_CLASS * draw)
        tuned = finetune(classifier, taught.images, names_of(taught.labels), class_names=TEN).classifier
        answers = tuned.predict(test.images).indices
        lost.append(before - np.mean(answers[old] == test.labels[old]))
        recalls.append([np.mean(answers[test.labels == digit] == digit) for digit in (8, 9)])
    assert np.mean(lost) <= 0.02
    assert np.mean(recalls) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("key", ARTIFACTS)
def test_the_names_of_the_classes_travel_in_the_bundle_and_in_the_bare_file(
    eight_digits_path, artifact_names, digits_split, tmp_path, key
):
    train, test = digits_split
    classifier = open_classifier(eight_digits_path, artifact=artifact_names[key])
    taught = few(train, (8, 9), PER_CLASS)
    tuned = finetune(classifier, taught.images, names_of(taught.labels), class_names=TEN).classifier
    answers = tuned.predict(test.images[:50]).indices
    for name in ("ten.edgecnn", f"ten.{key.rpartition('.')[2]}"):
        tuned.save(tmp_path / name)
        opened = open_classifier(tmp_path / name)
        assert opened.labels == TEN
        np.testing.assert_array_equal(opened.predict(test.images[:50]).indices, answers)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_the_tuned_bundle_replays_exactly_and_says_what_came_and_went(
    eight_digits_path, artifact_names, digits_split, tmp_path, key
):
    classifier = open_classifier(eight_digits_path, artifact=artifact_names[key])
    taught = few(digits_split[1], (1, 5, 9), PER_CLASS)
    names = ("9", "5", "1", "4", "7")
    finetune(classifier, taught.images, names_of(taught.labels), class_names=names).classifier.save(
        tmp_path / "tuned.edgecnn"
    )
    tuned = read_bundle(tmp_path / "tuned.edgecnn")
    assert tuned.manifest.labels == names
    told = tuned.manifest.provenance["classes"]
    assert told == {"before": list(TEN[:8]), "added": ["9"], "removed": ["0", "2", "3", "6"]}
    assert tuned.manifest.provenance["finetuned"]["base_sha256"] == classifier.artifact.sha256
    (artifact,) = tuned.artifacts
    golden, base = tuned.golden, read_bundle(eight_digits_path).golden
    assert golden is not None
    assert base is not None
    stays = np.isin(base.labels, [1, 4, 5, 7])
    np.testing.assert_array_equal(golden.inputs, base.inputs[stays])
    assert [names[label] for label in golden.labels] == names_of(base.labels[stays])
    assert golden.float_outputs.shape == (stays.sum(), 5)
    runtime = open_runtime(artifact, reference_runtime(artifact.format))
    inputs = to_model_input(golden.inputs, tuned.manifest.preprocessing, runtime.inputs[0])
    np.testing.assert_array_equal(runtime.run((inputs,))[0], golden.outputs[artifact.name])
    assert tuned.replay is not None
    # 30 old embeddings of each of the old classes that stay, and up to 30 new ones of each taught class.
    counts = dict(zip(*np.unique(tuned.replay.labels, return_counts=True), strict=True))
    assert counts == {0: 30, 1: 60, 2: 60, 3: 30, 4: 30}


def test_a_classifier_with_other_classes_answers_as_before_until_it_is_tuned(few_golden_path, digits_split):
    classifier = open_classifier(few_golden_path)
    images = digits_split[1].images[:100]
    wider = with_classes(classifier, ("letter", *reversed(TEN), "blank"))
    assert wider.predict(images).labels == classifier.predict(images).labels
    assert with_classes(classifier, TEN) is classifier


def test_imprinted_classes_are_recognized_without_a_step_and_old_rows_stay():
    rng = np.random.default_rng(2)
    centres = 3 * rng.normal(size=(6, 32))
    labels = np.repeat(np.arange(6), 100)
    z = centres[labels] + rng.normal(size=(600, 32))
    z -= z.mean(axis=0)
    held_down = SoftmaxHead(centres / 5, -0.5 * (centres**2).sum(axis=1) / 5)
    held_down.weights[4:] = 0
    held_down.bias[4:] = -1e4
    known = without_classes(to_parameters(held_down), (4, 5))
    start = imprint_classes(known, dense_rows(z[::2]), labels[::2], (4, 5))
    np.testing.assert_array_equal(start[:4], to_parameters(held_down)[:4])
    truth = labels[1::2]
    answers = dense_rows(z[1::2]).values @ start.T
    hits = answers.argmax(axis=1) == truth
    assert hits[truth >= 4].mean() > 0.9
    assert hits[truth < 4].mean() > 0.9
    lengths = np.linalg.norm(start[:, :-1], axis=1)
    np.testing.assert_allclose(lengths[4:], np.median(lengths[:4]), rtol=1e-5)
    mean = (z[::2] / np.linalg.norm(z[::2], axis=1, keepdims=True))[truth == 5].mean(axis=0)
    np.testing.assert_allclose(start[5, :-1] / lengths[5], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_new_class_without_samples_stays_blank():
    blank = np.array([[1.0, 2, 3], [3, 2, 1], [0, 0, 0]], np.float32)
    start = imprint_classes(blank, dense_rows(np.ones((5, 2))), np.zeros(5, np.int64), (2,))
    np.testing.assert_array_equal(start, blank)


def test_an_unknown_label_without_class_names_says_how_to_add_it(few_golden_path, digits_split):
    classifier = open_classifier(few_golden_path)
    images = digits_split[1].images[:20]
    with pytest.raises(DataError, match=r"'ten' is not one of .*name it in class_names \(finetune --add-classes\)"):
        finetune(classifier, images, ["ten", "1"] * 10)
    with pytest.raises(InputError, match="none of the model's classes"):
        finetune(classifier, images, ["x", "y"] * 10, class_names=("x", "y"))


@pytest.fixture
def with_blanks(tmp_path, digits_split):
    """Digits 0, 1 and 2 in their places, noise as an eleventh class."""
    taught = few(digits_split[1], (0, 1, 2), 20)
    noise = np.random.default_rng(1).integers(0, 255, (30, *taught.images.shape[1:]), np.uint8)
    labels = np.array([*names_of(taught.labels), *["blank"] * 30])
    np.savez(tmp_path / "blanks.npz", x=np.concatenate([taught.images, noise]), y=labels)
    return tmp_path / "blanks.npz"


def test_the_command_adds_and_removes_classes(few_golden_path, with_blanks, tmp_path, capsys):
    out = tmp_path / "tuned.tflite"
    command = ["finetune", str(few_golden_path), "--data", str(with_blanks), "--out", str(out), "--json"]
    assert main([*command, "--add-classes", "--keep-classes", "0,1,5"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["classes"] == ["0", "1", "5", "blank"]
    assert "left out 20 samples of classes that are not kept" in captured.err
    tuned = open_classifier(out)
    assert tuned.labels == ("0", "1", "5", "blank")
    data = np.load(with_blanks)
    blank = data["y"] == "blank"
    assert np.mean(np.array(tuned.predict(data["x"][blank]).labels) == "blank") > 0.9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "'blank' is not one of the model's classes"),
        (["--keep-classes", "0,seven"], "--keep-classes: 'seven' is not one of the model's classes"),
        (["--keep-classes", "0"], "two classes or more, got 1"),
    ],
)
def test_bad_classes_are_one_clear_line_and_nothing_is_written(
    few_golden_path, with_blanks, tmp_path, capsys, options, said
):
    out = tmp_path / "tuned.tflite"
    assert main(["finetune", str(few_golden_path), "--data", str(with_blanks), "--out", str(out), *options]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_numbers_count_on_from_the_known_classes(tmp_path):
    from edge_cnn.device.data_classes import new_classes

    np.savez(tmp_path / "d.npz", x=np.zeros((4, 8, 8), np.uint8), y=np.array([0, 1, 2, 3]))
    assert new_classes(tmp_path / "d.npz", ("cat", "dog")) == ("2", "3")
    np.savez(tmp_path / "n.npz", x=np.zeros((2, 8, 8)), y=np.array([0, 1]), labels=np.array(["owl", "cat"]))
    assert new_classes(tmp_path / "n.npz", ("cat", "dog")) == ("owl",)


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_resizing_damaged_files_gives_an_error_of_ours_or_a_result(artifacts, key):
    whole, change = artifacts[key], change_classes(TEN, (*TEN[1:], "new", "newer"))
    rng = np.random.default_rng(3)
    for trial in range(150):
        data = np.frombuffer(whole.data, np.uint8).copy()
        if trial % 5 == 0:
            data = data[: rng.integers(len(data))]
        else:
            data[rng.integers(0, len(data), rng.integers(1, 6))] = rng.integers(0, 256)
        with contextlib.suppress(EdgeCnnError):
            resize_head(Artifact(whole.name, whole.format, data.tobytes()), change)
