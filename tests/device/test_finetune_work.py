"""The work folder: an interrupted fine-tuning goes on to the same bytes and embeds no image twice."""

import contextlib
import time

import numpy as np
import pytest

from edge_cnn.core.errors import DataError, InputError
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_store import digest_of
from edge_cnn.device.finetuning.finetuning import Listener, finetune_samples
from edge_cnn.device.finetuning.result import FinetuneConfig
from edge_cnn.device.finetuning.training_checkpoint import OUTDATED
from edge_cnn.device.finetuning.work import CHECKPOINT, EMBEDDINGS, LOCK, FinetuneWork
from edge_cnn.device.opening import classifier_of_file, open_classifier
from edge_cnn.device.training.head_training import TrainingConfig
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings

SAMPLES, EXTRA = 70, 300


@pytest.fixture(scope="module")
def classifier(artifacts):
    """A bare file: a bundle's golden samples would be recorded anew each time."""
    return classifier_of_file(artifacts["int8.tflite"])


@pytest.fixture(scope="module")
def samples(digits_split):
    """Upside down, so that the old head is no good and training takes some passes."""
    part = digits_split[1].select(np.arange(SAMPLES))
    return part.__class__(255 - part.images, part.labels, part.class_names)


@pytest.fixture
def computed(monkeypatch, digits_split):
    """Digests of the samples that a backbone was run on; a tuned bundle's golden images are none of them."""
    told, codes = [], Embedder.codes
    known = {digest_of(image) for image in 255 - digits_split[1].images[[*range(SAMPLES), EXTRA]]}

    def watched(embedder, images, *others):
        told.extend(digest for digest in map(digest_of, images) if digest in known)
        return codes(embedder, images, *others)

    monkeypatch.setattr(Embedder, "codes", watched)
    return told


@pytest.fixture
def saved_always(monkeypatch):
    """Each pass is saved, not one every two seconds."""
    monkeypatch.setattr("edge_cnn.device.finetuning.work.SAVE_SECONDS", 0.0)


def config(optimizer="quasi-newton", **others):
    """Few passes, and no search for L2, which is what would take the time."""
    return FinetuneConfig(training=TrainingConfig(optimizer, OptimizerSettings(passes=6), l2=0.1, **others))


def run(classifier, samples, folder=None, *, resume=True, told=None, listener=None, asked=None, cache=None, **others):
    listener = listener or Listener(on_remark=(told if told is not None else []).append)
    with contextlib.ExitStack() as stack:
        work = None if folder is None else stack.enter_context(FinetuneWork(folder, resume=resume, cache=cache))
        return finetune_samples(classifier, samples, config=asked or config(), listener=listener, work=work, **others)


def bits(result):
    bundle = result.classifier.bundle
    return (
        bundle.to_bytes() if bundle else result.classifier.artifact.data,
        [repr(epoch) for epoch in result.history],
        result.log,
    )


def interrupting(place, number):
    """A listener that is interrupted at the `number`-th call of `place`."""
    calls = []

    def interrupt(*_):
        calls.append(None)
        if len(calls) == number:
            raise KeyboardInterrupt

    return Listener(**{place: interrupt})


def cut(classifier, samples, folder, place, number, **others):
    """Whether it was interrupted; else it has ended."""
    try:
        run(classifier, samples, folder, listener=interrupting(place, number), **others)
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.usefixtures("saved_always")
@pytest.mark.parametrize("optimizer", ["quasi-newton", "sgd"])
def test_interrupted_at_each_batch_and_each_pass_it_ends_with_the_same_bytes_and_embeds_no_image_twice(
    classifier, samples, computed, tmp_path, optimizer
):
    asked, folder = config(optimizer), tmp_path / "work"
    whole = run(classifier, samples, asked=asked)
    needed = list(computed)
    assert len(needed) == SAMPLES
    for place in ("on_batch", "on_predicted", "on_epoch"):
        number, times = 1, 0
        while True:
            computed.clear()
            if not cut(classifier, samples, folder, place, number, asked=asked):
                break
            again = run(classifier, samples, folder, asked=asked)
            assert bits(again) == bits(whole), f"cut at {place} {number}"
            assert sorted(computed) == sorted(needed)
            assert not folder.exists()
            number, times = number + 1, times + 1
        assert times >= {"on_batch": 3, "on_predicted": 1, "on_epoch": 3}[place]


@pytest.mark.usefixtures("saved_always")
def test_interrupted_again_and_again_a_bundle_comes_to_the_same_end(few_golden_path, samples, computed, tmp_path):
    classifier = open_classifier(few_golden_path)
    whole = bits(run(classifier, samples))
    needed = sorted(computed)
    computed.clear()
    # Each life of the process gets one batch or one pass further.
    assert cut(classifier, samples, tmp_path / "work", "on_batch", 1)
    assert cut(classifier, samples, tmp_path / "work", "on_batch", 2)
    lives = 0
    while cut(classifier, samples, tmp_path / "work", "on_epoch", 2):
        lives += 1
        assert lives < 50
    assert lives >= 2
    assert sorted(computed) == needed
    # The last life has ended, and taken the folder with it.
    assert not (tmp_path / "work").exists()
    assert bits(run(classifier, samples)) == whole


@pytest.mark.usefixtures("saved_always")
def test_a_resumed_training_starts_where_it_was(classifier, samples, tmp_path):
    epochs, told = [], []
    whole = run(classifier, samples)
    assert cut(classifier, samples, tmp_path / "work", "on_epoch", 3)
    run(classifier, samples, tmp_path / "work", listener=Listener(on_epoch=epochs.append, on_remark=told.append))
    # The third pass was interrupted before it was saved.
    assert [epoch.epoch for epoch in epochs] == list(range(3, len(whole.history) + 1))
    assert OUTDATED not in told


def test_without_resume_it_starts_from_the_beginning(classifier, samples, computed, tmp_path):
    assert cut(classifier, samples, tmp_path / "work", "on_epoch", 2)
    computed.clear()
    run(classifier, samples, tmp_path / "work", resume=False)
    assert len(computed) == SAMPLES


@pytest.mark.usefixtures("saved_always")
@pytest.mark.parametrize("what", ["a sample more", "another label", "another setting", "another seed"])
def test_what_has_changed_meanwhile_is_told_and_trained_anew_from_the_embeddings_that_are_there(
    classifier, samples, computed, tmp_path, digits_split, what
):
    assert cut(classifier, samples, tmp_path / "work", "on_epoch", 3)
    asked, fewer = config(), 0
    if what == "a sample more":
        extra = 255 - digits_split[1].images[EXTRA : EXTRA + 1]
        samples = samples.__class__(
            np.concatenate([samples.images, extra]), np.append(samples.labels, 3), samples.class_names
        )
        fewer = 1
    elif what == "another label":
        labels = samples.labels.copy()
        labels[0] = (labels[0] + 1) % 10
        samples = samples.__class__(samples.images, labels, samples.class_names)
    elif what == "another setting":
        asked = config(smoothing=0.1)
    else:
        asked = FinetuneConfig(seed=9, training=config().training)
    computed.clear()
    told = []
    again = run(classifier, samples, tmp_path / "work", told=told, asked=asked)
    assert told.count(OUTDATED) == 1
    assert len(computed) == fewer
    assert bits(again) == bits(run(classifier, samples, asked=asked))


def test_another_model_starts_anew_and_says_so(classifier, samples, computed, tmp_path, artifacts):
    assert cut(classifier, samples, tmp_path / "work", "on_epoch", 2)
    other = classifier_of_file(artifacts["float32.tflite"])
    computed.clear()
    told = []
    again = run(other, samples, tmp_path / "work", told=told)
    assert told.count(OUTDATED) == 1
    assert len(computed) == SAMPLES
    assert bits(again) == bits(run(other, samples))


@pytest.mark.usefixtures("saved_always")
def test_a_checkpoint_that_is_damaged_is_not_used(classifier, samples, tmp_path):
    whole = bits(run(classifier, samples))
    for damage in (b"", b"PK\x03\x04", None):
        assert cut(classifier, samples, tmp_path / "work", "on_epoch", 3)
        path = tmp_path / "work" / CHECKPOINT
        path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
        assert bits(run(classifier, samples, tmp_path / "work")) == whole


@pytest.mark.usefixtures("saved_always")
def test_nothing_depends_on_the_clock(classifier, samples, tmp_path, monkeypatch):
    whole = bits(run(classifier, samples))
    hours = iter(range(10**6, 0, -1))
    monkeypatch.setattr(time, "time", lambda: 3600.0 * next(hours))
    monkeypatch.setattr(time, "time_ns", lambda: 3600 * 10**9 * next(hours))
    assert cut(classifier, samples, tmp_path / "work", "on_batch", 2)
    assert cut(classifier, samples, tmp_path / "work", "on_epoch", 3)
    assert bits(run(classifier, samples, tmp_path / "work")) == whole


def test_a_second_run_with_a_cache_runs_the_backbone_for_no_image(classifier, samples, computed, tmp_path):
    cache = tmp_path / "cache"
    first = run(classifier, samples, tmp_path / "work", cache=cache)
    assert len(computed) == SAMPLES
    assert not (tmp_path / "work").exists()
    for turn, asked in enumerate(
        (config(), config("sgd", balanced=True), FinetuneConfig(0.4, 7, training=config().training))
    ):
        computed.clear()
        again = run(classifier, samples, tmp_path / "work", cache=cache, asked=asked)
        assert computed == []
        assert (bits(again) == bits(first)) == (turn == 0)
        assert bits(again) == bits(run(classifier, samples, asked=asked))
    # A part of the samples, in another order.
    computed.clear()
    run(classifier, samples.select(np.arange(60)[::-1]), tmp_path / "work", cache=cache)
    assert computed == []


def test_the_order_in_which_a_cache_was_filled_makes_no_difference(classifier, samples, tmp_path, digits_split):
    cache, others = tmp_path / "cache", digits_split[1].select(np.arange(100, 130))
    run(classifier, others, tmp_path / "work", cache=cache)
    run(classifier, samples.select(np.random.default_rng(0).permutation(SAMPLES)), tmp_path / "work", cache=cache)
    replayed = {"replay": others.select(np.arange(29, -1, -1))}
    for more in ({}, replayed):
        cached = run(classifier, samples, tmp_path / "work", cache=cache, **more)
        assert bits(cached) == bits(run(classifier, samples, **more))


def test_a_cache_serves_other_classes_too_as_the_backbone_is_the_same(classifier, samples, computed, tmp_path):
    cache = tmp_path / "cache"
    run(classifier, samples, tmp_path / "work", cache=cache)
    for class_names in ((*samples.class_names, "new"), samples.class_names[::-1]):
        names = samples.__class__(samples.images, samples.labels, samples.class_names)
        computed.clear()
        cached = run(classifier, names, tmp_path / "work", cache=cache, class_names=class_names)
        assert computed == []
        assert bits(cached) == bits(run(classifier, names, class_names=class_names))


def test_a_cache_of_another_input_range_is_refused_and_kept(few_golden_path, samples, tmp_path):
    cache = tmp_path / "cache"
    run(open_classifier(few_golden_path), samples, tmp_path / "work", cache=cache)
    before = cache.read_bytes()
    with pytest.raises(InputError, match="come from another model file, runtime or input range"):
        run(open_classifier(few_golden_path, input_range=(-1, 1)), samples, tmp_path / "work", cache=cache)
    assert cache.read_bytes() == before
    assert not (tmp_path / "work").exists()


def test_an_error_that_was_raised_on_purpose_leaves_nothing(classifier, samples, tmp_path):
    one_class = samples.select(np.arange(9))
    with pytest.raises(DataError):
        run(classifier, one_class, tmp_path / "work")
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_file_is_refused_and_nothing_is_touched(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for name in (EMBEDDINGS, CHECKPOINT, "letter.txt"):
        (folder / name).write_text(name)
    with pytest.raises(InputError, match=r"holds 'letter.txt', which no fine-tuning has put there; move it away"):
        FinetuneWork(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: name for name in (EMBEDDINGS, CHECKPOINT, "letter.txt")
    }
    with pytest.raises(InputError, match="is a file, where fine-tuning keeps its work; remove it"):
        FinetuneWork(folder / "letter.txt")


def test_only_one_works_in_a_folder_and_the_next_may_when_it_has_ended(tmp_path):
    folder = tmp_path / "work"
    with FinetuneWork(folder), pytest.raises(InputError, match="another process is fine-tuning in"):
        FinetuneWork(folder)
    assert not folder.exists()
    with FinetuneWork(folder):
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_a_lock_on_a_folder_that_has_just_gone_is_taken_anew(tmp_path, monkeypatch):
    import fcntl

    folder, flock = tmp_path / "work", fcntl.flock
    others = [FinetuneWork(folder)]

    def slow(handle, operation):
        # Between opening the lock and taking it the other one ends.
        while others:
            others.pop().__exit__(None, None, None)
        flock(handle, operation)

    monkeypatch.setattr("edge_cnn.device.finetuning.work.fcntl.flock", slow)
    with FinetuneWork(folder):
        monkeypatch.undo()
        with pytest.raises(InputError, match="another process is fine-tuning in"):
            FinetuneWork(folder)


def test_a_folder_that_somebody_has_removed_is_no_trouble_at_the_end(tmp_path):
    folder = tmp_path / "work"
    with FinetuneWork(folder):
        (folder / LOCK).unlink()
        folder.rmdir()
    assert not folder.exists()


def test_the_work_of_another_output_is_not_touched(classifier, samples, tmp_path):
    assert cut(classifier, samples, tmp_path / "a.tuning", "on_epoch", 2)
    before = {path.name: path.read_bytes() for path in (tmp_path / "a.tuning").iterdir()}
    run(classifier, samples, tmp_path / "b.tuning")
    assert {path.name: path.read_bytes() for path in (tmp_path / "a.tuning").iterdir()} == before
