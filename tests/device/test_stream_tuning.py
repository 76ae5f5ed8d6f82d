from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edge_cnn.core.bundle import read_bundle
from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.core.errors import DataError, InputError
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.finetuning import finetune
from edge_cnn.device.opening import classifier_of_file, open_classifier
from edge_cnn.device.stream import training as stream_training
from edge_cnn.device.stream.commit_rule import CommitRule
from edge_cnn.device.stream.holdout import BATCH, StreamHoldout, batches
from edge_cnn.device.stream.prequential import Prequential
from edge_cnn.device.stream.replay import StreamReplay
from edge_cnn.device.stream.result import StreamConfig
from edge_cnn.device.stream.tuning import StreamTuner

COUNT = 400

LEARNS_FREELY = StreamConfig(rule=CommitRule(forgettable=1.0))
"""How well a stream learns, whatever becomes of the old task: the batch that it is held against has no such guard, and
how much of the old task a head must lose for a new one differs from network to network."""


@pytest.fixture(scope="module")
def inverted(digits_split):
    """Digits dark on light, of which the model has seen none."""
    test = digits_split[1]
    return 255 - test.images, test.labels


@pytest.fixture
def open_base(few_golden_path, artifacts):
    return lambda key="int8.tflite": open_classifier(few_golden_path, artifact=artifacts[key].name)


def follow(tuner, images, labels, every=10):
    """Steps and updates of a stream."""
    steps, updates = [], []
    for image, label in zip(images, labels, strict=True):
        steps.append(tuner.add(image, int(label)))
        if tuner.waiting >= every:
            updates.append(tuner.update())
    return steps, updates


def accuracy(classifier, images, labels):
    return np.mean(classifier.predict(images).indices == labels)


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx", pytest.param("float32.tflite", marks=pytest.mark.slow)])
def test_a_stream_arrives_within_five_points_of_the_batch_on_fresh_samples(open_base, inverted, key):
    images, labels = inverted
    base = open_base(key)
    tuner = StreamTuner(base, LEARNS_FREELY)
    steps, updates = follow(tuner, images[:COUNT], labels[:COUNT], every=40)
    batch = finetune(base, images[:COUNT], labels[:COUNT]).classifier
    fresh = images[COUNT:], labels[COUNT:]
    assert accuracy(tuner.committed, *fresh) > accuracy(base, *fresh) + 0.3
    assert accuracy(tuner.committed, *fresh) > accuracy(batch, *fresh) - 0.05
    # Prequential: the second half is answered better than the first, before it is learned from.
    half = COUNT // 2
    first, second = (np.mean([s.right for s in part]) for part in (steps[:half], steps[half:]))
    assert second > first + 0.15
    assert updates[-1].seen.recent == np.mean([s.right for s in steps[-100:]])
    assert updates[-1].seen.overall == pytest.approx(np.mean([s.right for s in steps]))


def test_the_head_is_as_good_as_scikit_learns_on_the_same_embeddings(open_base, inverted):
    linear = pytest.importorskip("sklearn.linear_model")
    images, labels = inverted
    base = open_base()
    tuner = StreamTuner(base, LEARNS_FREELY)
    steps, _ = follow(tuner, images[:COUNT], labels[:COUNT], every=50)
    embedder = Embedder(base)
    z = embedder.to_real(embedder.codes(images))
    z = (z - z[:COUNT].mean(axis=0)) / (z[:COUNT].std(axis=0) + 1e-3)
    trained = [i for i, step in enumerate(steps) if not step.held_out]
    best = max(
        linear.LogisticRegression(C=c, max_iter=2000).fit(z[trained], labels[trained]).score(z[COUNT:], labels[COUNT:])
        for c in (0.01, 0.1, 1.0)
    )
    assert accuracy(tuner.committed, images[COUNT:], labels[COUNT:]) > best - 0.05


def test_before_the_first_update_the_samples_are_answered_by_the_model_itself(open_base, digits_split):
    test = digits_split[1]
    tuner = StreamTuner(open_base())
    answers = [
        tuner.add(image, test.class_names[y]).answer for image, y in zip(test.images[:50], test.labels, strict=False)
    ]
    assert answers == open_base().predict(test.images[:50]).indices.tolist()


def test_every_fifth_sample_of_a_class_is_held_out_and_no_copy_of_it_trains(open_base, inverted):
    images, labels = inverted
    tuner = StreamTuner(open_base())
    twice = np.concatenate([images[:100], images[:100]]), np.concatenate([labels[:100], labels[:100]])
    steps, _ = follow(tuner, *twice, every=50)
    for label in range(10):
        places = np.flatnonzero(labels[:100] == label)
        assert [steps[p].held_out for p in places] == [number % 5 == 1 for number in range(len(places))]
    assert [s.held_out for s in steps[:100]] == [s.held_out for s in steps[100:]]
    held = images[:100][[s.held_out for s in steps[:100]]]
    codes = Embedder(open_base()).codes(held)
    replayed = tuner.committed.bundle.replay.embeddings[tuner.committed.artifact.name]
    assert not {row.tobytes() for row in codes} & {row.tobytes() for row in replayed}


@pytest.mark.parametrize("shift", ["random", "next"])
def test_labels_that_are_all_wrong_are_never_committed(open_base, digits_split, shift):
    test = digits_split[1]
    step = np.random.default_rng(0).integers(1, 10, 300) if shift == "random" else 1
    committed = []
    tuner = StreamTuner(open_base(), commit=committed.append)
    _, updates = follow(tuner, test.images[:300], (test.labels[:300] + step) % 10)
    assert len(updates) == 30
    assert not committed
    assert not any(update.committed for update in updates)
    assert all(update.reason for update in updates)
    assert tuner.summary.to_json()["saved"] is False
    assert tuner.summary.after == tuner.summary.before


def test_each_commit_answers_more_held_out_samples_and_its_figures_are_those_of_the_saved_file(
    open_base, inverted, tmp_path
):
    images, labels = inverted
    saved = []

    def commit(tuned):
        tuned.save(tmp_path / f"{len(saved)}.edgecnn")
        saved.append(tmp_path / f"{len(saved)}.edgecnn")

    base = open_base()
    tuner = StreamTuner(base, commit=commit)
    held, before = [], base
    for image, label in zip(images[:200], labels[:200], strict=True):
        step = tuner.add(image, int(label))
        held += [(image, label)] if step.held_out else []
        if tuner.waiting < 10:
            continue
        update = tuner.update()
        if update.committed:
            x, y = np.stack([image for image, _ in held]), np.array([label for _, label in held])
            now = open_classifier(saved[-1])
            assert update.head.right == np.count_nonzero(now.predict(x).indices == y)
            assert update.head.right > np.count_nonzero(before.predict(x).indices == y)
            assert update.head.interval == wilson_interval(update.head.right, len(held))
            before = now
    assert len(saved) >= 2
    assert open_classifier(saved[-1]).artifact.data == tuner.committed.artifact.data


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_a_committed_bundle_replays_exactly_and_says_where_it_comes_from(
    bundle_path, artifacts, inverted, tmp_path, key
):
    from edge_cnn.verify.replay import verify

    base = open_classifier(bundle_path, artifact=artifacts[key].name)
    tuner = StreamTuner(base, commit=lambda tuned: tuned.save(tmp_path / "tuned.edgecnn"))
    follow(tuner, inverted[0][:150], inverted[1][:150])
    verify(tmp_path / "tuned.edgecnn", "local").check()
    tuned = read_bundle(tmp_path / "tuned.edgecnn")
    told = tuned.manifest.provenance["finetuned"]
    assert told["base_sha256"] == base.artifact.sha256
    assert told["stream"]["commits"] == tuner.summary.commits
    assert len(tuned.replay.labels) > len(base.bundle.replay.labels)
    assert len(tuned.artifacts[0].data) == len(base.artifact.data)


def test_the_same_order_and_seed_give_the_same_bytes_and_another_order_others(open_base, inverted):
    images, labels = inverted[0][:100], inverted[1][:100]
    files = []
    for order in (slice(None), slice(None), slice(None, None, -1)):
        tuner = StreamTuner(open_base(), StreamConfig(seed=3))
        follow(tuner, images[order], labels[order])
        assert tuner.summary.commits
        files.append(tuner.committed.bundle.to_bytes())
    assert files[0] == files[1] != files[2]


def test_a_commit_that_fails_leaves_the_version_before(open_base, inverted):
    def full_disk(_tuned):
        raise InputError("the disk is full")

    base = open_base()
    tuner = StreamTuner(base, commit=full_disk)
    with pytest.raises(InputError, match="full"):
        follow(tuner, inverted[0][:200], inverted[1][:200])
    assert tuner.committed is base
    assert tuner.summary.commits == 0


def test_l2_is_chosen_again_when_the_training_samples_have_doubled(open_base, inverted, monkeypatch):
    chosen = []

    def spy(rows, labels, is_new, *rest):
        chosen.append(int(np.count_nonzero(is_new)))
        return predict_gain(rows, labels, is_new, *rest)

    predict_gain = stream_training.predict_gain
    monkeypatch.setattr(stream_training, "predict_gain", spy)
    _, updates = follow(StreamTuner(open_base()), inverted[0][:200], inverted[1][:200])
    wanted = []
    for update in updates:
        if not wanted or update.train_samples >= 2 * wanted[-1]:
            wanted.append(update.train_samples)
    assert chosen == wanted
    assert 3 <= len(chosen) <= 6


def test_no_more_is_kept_than_was_asked_for(open_base, inverted):
    images, labels = inverted[0][:200], inverted[1][:200]
    tuner = StreamTuner(open_base(), StreamConfig(capacity=60, holdout_memory=10 * images[0].nbytes + 1))
    steps, updates = follow(tuner, images, labels)
    assert updates[-1].train_samples == 60
    assert updates[-1].head.samples == 10
    newest = np.flatnonzero([s.held_out for s in steps])[-10:]
    answers = tuner.committed.predict(images[newest]).indices
    assert tuner.summary.after.right == np.count_nonzero(answers == labels[newest])


def test_float_model_inputs_are_taken_as_well(open_base, inverted):
    images, labels = inverted[0][:60], inverted[1][:60]
    results = []
    for samples in (images, images.astype(np.float32) / 255):
        tuner = StreamTuner(open_base("float32.tflite"))
        steps, updates = follow(tuner, samples, labels)
        results.append(([s.answer for s in steps], [u.head.right for u in updates]))
    assert results[0] == results[1]


@pytest.mark.parametrize("key", ["int8.tflite", "float32.tflite"])
def test_a_stream_may_mix_pixels_with_float_model_inputs(open_base, inverted, key):
    images, labels = inverted[0][:150], inverted[1][:150]
    mixed = [image.astype(np.float32) / 255 if i % 3 else image for i, image in enumerate(images)]
    tuner, pixels = StreamTuner(open_base(key)), StreamTuner(open_base(key))
    steps, updates = follow(tuner, mixed, labels, every=50)
    assert updates == follow(pixels, images, labels, every=50)[1]
    # The batches of the two differ, and so the last bits of what float32 sums of them come to.
    assert replace(tuner.summary, certificate=pixels.summary.certificate) == pixels.summary
    errors = [stream.summary.certificate.max_logit_error for stream in (tuner, pixels)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-5)
    held = [i for i, step in enumerate(steps) if step.held_out]
    assert {mixed[i].dtype for i in held} == {np.dtype(np.uint8), np.dtype(np.float32)}
    alone = [tuner.committed.predict(mixed[i][None]).indices[0] for i in held]
    assert tuner.summary.after.right == np.count_nonzero(alone == labels[held])


def test_held_out_samples_of_any_shape_are_answered_as_each_by_itself():
    class Shapes:
        """Answers with the number of values of an image, and whether they are pixels."""

        def predict(self, images):
            return SimpleNamespace(indices=np.full(len(images), 2 * images[0].size + (images.dtype == np.uint8)))

    holdout = StreamHoldout(1, np.dtype(np.uint8), capacity=200, memory=2**20)
    images = [
        np.zeros(s, t) for s, t, n in ((4, "u1", 70), (4, "f4", 1), (9, "f4", 2), (4, "u1", 40)) for _ in range(n)
    ]
    for number, image in enumerate(images):
        holdout.append(image, bytes([number]), 0)
    alone = [Shapes().predict(image[None]).indices[0] for image in images]
    assert holdout.answers_of(Shapes()).tolist() == alone
    assert max(len(batch) for _, batch in batches(images)) == BATCH


def test_the_memory_of_held_out_images_is_that_of_all_of_them_together():
    holdout = StreamHoldout(1, np.dtype(np.uint8), capacity=5, memory=100)
    kept = []
    for number, size in enumerate((10, 10, 10, 10, 10, 10, 60, 30, 200, 100, 1)):
        holdout.append(np.zeros(size, np.uint8), bytes([number]), number)
        kept.append(holdout.labels.tolist())
    assert kept[4:] == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6], [5, 6, 7], [8], [9], [10]]


def test_of_equal_replayed_samples_one_is_kept_and_a_streamed_twin_removes_it():
    codes = np.array([[1], [2], [1], [2], [2], [3], [4], [5], [6], [7]], np.int8)
    replay = StreamReplay(codes, np.zeros(len(codes), np.int64))
    train, held = (part[0].ravel().tolist() for part in (replay.train, replay.holdout))
    assert (train, held) == ([1, 3, 4, 5, 6], [2, 7])
    assert len(replay) == 7
    for value in (2, 3, 3, 9):
        replay.leave_out(np.int8(value).tobytes())
    train, held = (part[0].ravel().tolist() for part in (replay.train, replay.holdout))
    assert (train, held) == ([1, 4, 5, 6], [7])


def test_one_class_alone_without_replay_trains_nothing(artifacts, inverted):
    images, labels = inverted
    sevens = images[labels == 7][:20]
    tuner = StreamTuner(classifier_of_file(artifacts["int8.tflite"]))
    _, updates = follow(tuner, sevens, [7] * 20)
    assert [u.reason for u in updates] == ["samples of two classes are needed to train"] * 2
    assert updates[-1].steps == 0


def test_old_samples_may_be_given_for_a_bare_file(artifacts, inverted, digits_split):
    old = digits_split[0].select(np.arange(300))
    tuner = StreamTuner(classifier_of_file(artifacts["int8.tflite"]), replay=old)
    follow(tuner, inverted[0][:150], inverted[1][:150])
    summary = tuner.summary
    assert summary.commits
    assert summary.after.replay_accuracy >= summary.before.replay_accuracy - 0.02


@pytest.mark.parametrize(
    ("image", "label", "said"),
    [
        (np.zeros((8, 8, 1), np.uint8), 3, "resize"),
        (np.full((28, 28, 1), np.nan, np.float32), 3, "NaN"),
        (np.zeros((28, 28, 1), np.uint8), 10, "out of range"),
        (np.zeros((28, 28, 1), np.uint8), "cat", "'cat' is not one of"),
    ],
)
def test_a_sample_that_cannot_be_used_is_refused_and_does_not_count(open_base, image, label, said):
    tuner = StreamTuner(open_base())
    with pytest.raises(DataError, match=said):
        tuner.add(image, label)
    assert tuner.waiting == 0
    assert tuner.summary.samples == 0


@pytest.mark.parametrize(
    ("right", "committed", "samples", "replay", "said"),
    [
        (4, 0, 4, None, "5 are needed"),
        (5, 0, 5, None, None),
        (8, 8, 10, None, "the committed version has 8"),
        (9, 8, 10, (0.97, 0.951), None),
        (
            9,
            8,
            10,
            (0.97, 0.949),
            "held-out old samples would fall from 97.0 to 94.9 %; --max-old-drop 0.03 allows that",
        ),
        (1, 0, 40, None, "guesses among 10 classes"),
        (9, 8, 40, None, None),  # Wilson's interval of 9 in 40 begins at 12.3 %
        (8, 7, 40, None, None),  # at 10.5 %
        (7, 6, 40, None, "guesses"),  # at 8.7 %
    ],
)
def test_the_commit_rule(right, committed, samples, replay, said):
    reason = CommitRule().refusal(right, committed, samples, 10, replay)
    assert reason is None if said is None else said in reason


def test_the_prequential_window_forgets_the_beginning():
    seen = Prequential(window=4)
    for right in (False, False, False, True, True, True):
        seen.add(right)
    assert (seen.accuracy.recent, seen.accuracy.window) == (0.75, 4)
    assert (seen.accuracy.overall, seen.accuracy.samples) == (0.5, 6)
