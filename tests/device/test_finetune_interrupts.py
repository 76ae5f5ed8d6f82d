"""What a power cut leaves in the work folder: torn at any byte, a fine-tuning that goes on ends with the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning import embedding_cache, finetuning
from edge_cnn.device.finetuning import work as finetune_work
from edge_cnn.device.finetuning.embedding_cache import EmbeddingCache
from edge_cnn.device.finetuning.embedding_store import DIGEST_BYTES
from edge_cnn.device.finetuning.finetuning import Listener, finetune_samples
from edge_cnn.device.finetuning.work import CHECKPOINT, EMBEDDINGS, FinetuneWork
from edge_cnn.device.opening import open_classifier
from tests.device.small_bundles import small_bundle

SAMPLES, BATCH, PASSES_BEFORE = 60, 16, 3
CRC_BYTES = 4
BLOCK = 4096
"""Of a file system; after a power cut the last one may be zeros."""


@dataclass(frozen=True)
class Case:
    """A model, samples, and the work folders of two interrupted fine-tunings.

    Attributes:
        whole: the bundle that an unbroken one makes.
        rows: embeddings that it stores.
        record: bytes of one in the file.
        while_embedding: left after two batches.
        while_training: left after three passes.
    """

    classifier: Classifier
    samples: LabelledImages
    whole: bytes
    rows: int
    record: int
    while_embedding: Path
    while_training: Path

    def resumed(self, left: Path, place: Path, harm: Callable[[Path], None] = lambda _: None) -> tuple[int, list[int]]:
        """Harm a copy of a work folder and go on in it, to the same bytes; rows appended and passes made."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(left, place)
        harm(place)
        passes: list[int] = []
        counts: list[int] = []
        with FinetuneWork(place, resume=True) as work, pytest.MonkeyPatch.context() as patch:
            append = EmbeddingCache.append

            def counted(store: EmbeddingCache, digests: list[bytes], codes: np.ndarray) -> None:
                counts.append(len(digests))
                append(store, digests, codes)

            patch.setattr(EmbeddingCache, "append", counted)
            made = tune(self.classifier, self.samples, work, Listener(on_epoch=lambda done: passes.append(done.epoch)))
        assert made == self.whole
        assert not place.exists()
        return sum(counts), passes


def tune(classifier: Classifier, samples: LabelledImages, work: FinetuneWork | None, listener: Listener) -> bytes:
    result = finetune_samples(classifier, samples, listener=listener, work=work)
    assert result.improved
    assert result.classifier.bundle is not None
    return result.classifier.bundle.to_bytes()


@pytest.fixture(scope="module", params=["tflite", "onnx"])
def case(request, bundle_path, tmp_path_factory):
    """int8 of each format, interrupted in the midst of its embeddings and of its passes."""
    from edge_cnn.host.datasets import load_dataset

    folder = tmp_path_factory.mktemp("interrupted")
    small_bundle(bundle_path, "int8", request.param).write(folder / "model.edgecnn")
    classifier = open_classifier(folder / "model.edgecnn")
    samples = load_dataset("optdigits").train.select(slice(SAMPLES))
    whole = tune(classifier, samples, None, Listener())

    def on_batch(done: int, _: int) -> None:
        if done == 2 * BATCH:
            raise KeyboardInterrupt

    def on_epoch(done: finetuning.EpochLoss) -> None:
        # The state of a pass is saved after it was told.
        if done.epoch == PASSES_BEFORE + 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        # A small fine-tuning does all that a long one does: several batches, and every pass is saved.
        patch.setattr(finetuning, "BATCH", BATCH)
        patch.setattr(finetune_work, "SAVE_SECONDS", 0.0)
        patch.setattr(embedding_cache, "SYNC_SECONDS", 0.0)
        for name, listener in (("embedding", Listener(on_batch=on_batch)), ("training", Listener(on_epoch=on_epoch))):
            with pytest.raises(KeyboardInterrupt), FinetuneWork(folder / name) as work:
                tune(classifier, samples, work, listener)
        sizes = [(folder / name / EMBEDDINGS).stat().st_size for name in ("embedding", "training")]
        _, origin, _ = (folder / "embedding" / EMBEDDINGS).read_bytes().split(b"\n", 2)
        told = json.loads(origin)
        record = DIGEST_BYTES + CRC_BYTES + told["features"] * np.dtype(told["dtype"]).itemsize
        rows = 2 * BATCH + (sizes[1] - sizes[0]) // record
        yield Case(classifier, samples, whole, rows, record, folder / "embedding", folder / "training")


def cut(name: str, length: int) -> Callable[[Path], None]:
    """Leave the first bytes of a file; with a negative length take so many from its end."""

    def harm(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:length])

    return harm


def put(name: str, data: bytes) -> Callable[[Path], None]:
    """Replace a file."""
    return lambda folder: (folder / name).write_bytes(data) and None


def zero(name: str, length: int) -> Callable[[Path], None]:
    """Make zeros of the last bytes of a file."""

    def harm(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-length] + bytes(length))

    return harm


def test_unharmed_nothing_is_embedded_or_trained_twice(case, tmp_path):
    appended, passes = case.resumed(case.while_embedding, tmp_path / "work")
    assert appended == case.rows - 2 * BATCH
    assert passes[0] == 1
    appended, passes = case.resumed(case.while_training, tmp_path / "work")
    assert appended == 0
    assert passes[0] == PASSES_BEFORE + 1


def check_torn(case: Case, place: Path, lengths: range) -> None:
    """Cut so many bytes off the embeddings."""
    for length in lengths:
        appended, _ = case.resumed(case.while_embedding, place, cut(EMBEDDINGS, -length))
        lost = -(-length // case.record)
        assert appended == case.rows - 2 * BATCH + lost, length


def test_an_embedding_that_was_torn_is_computed_again_and_no_other(case, tmp_path):
    check_torn(case, tmp_path / "work", range(1, case.record + 2, 23))


@pytest.mark.slow
def test_torn_at_any_byte_of_the_last_embedding_it_ends_with_the_same_bytes(case, tmp_path):
    check_torn(case, tmp_path / "work", range(1, case.record + 2))


@pytest.mark.parametrize("length", [1, 512, BLOCK, 10**6])
def test_embeddings_whose_last_block_was_never_written_are_computed_again(case, tmp_path, length):
    for left, there in ((case.while_embedding, 2 * BATCH), (case.while_training, case.rows)):
        length = min(length, there * case.record)
        appended, _ = case.resumed(left, tmp_path / "work", zero(EMBEDDINGS, length))
        lost = -(-length // case.record)
        # A zero may have been one before.
        assert case.rows - there + lost - 1 <= appended <= case.rows - there + lost


def test_without_embeddings_or_with_those_of_another_model_all_are_computed_again(case, tmp_path):
    def of_another_model(folder: Path) -> None:
        data = (folder / EMBEDDINGS).read_bytes()
        (folder / EMBEDDINGS).write_bytes(data.replace(b'"artifact": "', b'"artifact": "0', 1))

    for harm in (lambda folder: (folder / EMBEDDINGS).unlink(), of_another_model, cut(EMBEDDINGS, 0)):
        appended, passes = case.resumed(case.while_training, tmp_path / "work", harm)
        assert appended == case.rows
        # What was trained does not hang on where its embeddings lie.
        assert passes[0] == PASSES_BEFORE + 1


def check_checkpoints(case: Case, place: Path, parts: int) -> None:
    size = (case.while_training / CHECKPOINT).stat().st_size
    for part in range(parts):
        for harm in (cut(CHECKPOINT, size * part // parts), zero(CHECKPOINT, size * (part + 1) // parts)):
            appended, passes = case.resumed(case.while_training, place, harm)
            assert appended == 0
            assert passes[0] == 1, part


def test_a_torn_checkpoint_begins_the_training_anew(case, tmp_path):
    check_checkpoints(case, tmp_path / "work", 4)


@pytest.mark.slow
def test_a_checkpoint_that_was_torn_anywhere_begins_the_training_anew(case, tmp_path):
    check_checkpoints(case, tmp_path / "work", 40)


def test_the_checkpoint_of_another_version_begins_the_training_anew(case, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune_work, "__version__", "0.0.1")
    appended, passes = case.resumed(case.while_training, tmp_path / "work")
    assert appended == 0
    assert passes[0] == 1


@pytest.mark.slow
def test_whatever_bytes_of_the_work_were_changed_it_ends_with_the_same_bytes(case, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(60):
        name = (CHECKPOINT, EMBEDDINGS)[number % 2]
        data = bytearray((case.while_training / name).read_bytes())
        for place in rng.integers(0, len(data), 1 + number % 3):
            data[place] ^= 1 << int(rng.integers(8))
        case.resumed(case.while_training, tmp_path / "work", put(name, bytes(data)))


def test_a_cache_filled_in_another_order_gives_the_same_bytes(case, tmp_path):
    cache = tmp_path / "cache"
    order = np.random.default_rng(0).permutation(SAMPLES)
    for samples, made in ((case.samples.select(order), None), (case.samples, case.whole)):
        with FinetuneWork(tmp_path / "work", cache=cache) as work:
            found = tune(case.classifier, samples, work, Listener())
        assert made is None or found == made
    assert not (tmp_path / "work").exists()
    with FinetuneWork(tmp_path / "work", cache=cache) as work:
        assert tune(case.classifier, case.samples, work, Listener()) == case.whole
