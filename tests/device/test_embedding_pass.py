"""Samples through the backbone: each once, read one batch ahead, whatever the batch."""

import threading

import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_pass import embed
from edge_cnn.device.finetuning.embedding_store import MemoryStore, digest_of
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.sample_source import open_data

SECONDS = 20.0
"""Patience with a thread that should come at once."""


class Sums:
    """In the place of an `Embedder`: an image's embedding is the sum of its pixels; keeps what it was given."""

    def __init__(self, on_codes=lambda: None):
        self.given, self.on_codes = [], on_codes

    def codes(self, images):
        self.on_codes()
        self.given += [digest_of(image) for image in images]
        return images.reshape(len(images), -1).sum(axis=1, keepdims=True, dtype=np.float32)


def store():
    return MemoryStore(1, np.dtype(np.float32))


def different_images(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 1)).astype(np.uint8)
    return LabelledImages(images, np.zeros(count, np.int64), ("a", "b"))


@pytest.mark.parametrize("key", ["int8.tflite", "float32.onnx"])
def test_embeddings_are_those_of_the_backbone_in_any_batch_size(bundle_path, artifacts, digits_split, key):
    embedder = Embedder(open_classifier(bundle_path, artifact=artifacts[key].name))
    samples = digits_split[1].select(np.arange(45))
    # One image a call is what no batch can have an influence on.
    alone = np.concatenate([embedder.codes(image[None]) for image in samples.images])
    for batch in (1, 2, 7, 32, 45, 100):
        kept = MemoryStore(alone.shape[1], alone.dtype)
        told = []
        found = embed(embedder, samples, kept, batch, told.append)
        np.testing.assert_array_equal(found.rows, np.arange(45))
        np.testing.assert_array_equal(kept.table[found.at], alone)
        assert told == [min(start + batch, 45) for start in range(0, 45, batch)]


def test_the_next_batch_is_asked_for_while_the_backbone_computes():
    samples, asked = different_images(30), [threading.Event() for _ in range(4)]
    batch, computed = 8, []

    class Watched:
        __len__ = samples.__len__

        def read(self, rows):
            number = int(rows[0]) // batch
            # Only one batch ahead: memory is for two.
            assert len(computed) >= number - 1
            asked[number].set()
            return samples.read(rows)

    def on_codes():
        computed.append(len(computed))
        if len(computed) < len(asked):
            assert asked[len(computed)].wait(SECONDS), "it waits for the backbone to end"

    found = embed(Sums(on_codes), Watched(), store(), batch)
    assert len(found.rows) == 30
    assert len(computed) == len(asked)


def test_equal_images_and_those_that_are_stored_are_not_computed():
    samples = different_images(10).select(np.array([0, 1, 0, 2, 1, 3, 0, 4, 4, 0]))
    sums, kept = Sums(), store()
    found = embed(sums, samples, kept, 4)
    assert len(sums.given) == len(set(sums.given)) == 5
    expected = samples.images.reshape(10, -1).sum(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(kept.table[found.at][:, 0], expected)
    assert found.digests == tuple(digest_of(image) for image in samples.images)
    again = embed(sums, samples.select(np.arange(9, -1, -1)), kept, 3)
    assert len(sums.given) == 5, "all of them are there"
    np.testing.assert_array_equal(kept.table[again.at][:, 0], expected[::-1])


def test_no_samples_are_no_work():
    sums = Sums()
    found = embed(sums, different_images(0), store(), 4)
    assert (len(found.rows), len(found.at), found.digests, sums.given) == (0, 0, (), [])


def test_what_cannot_be_read_is_left_out_and_the_rest_keeps_its_rows(tmp_path):
    from PIL import Image

    images = different_images(12).images[..., 0]
    damaged = {0, 4, 5, 6, 7, 11}  # of the middle batch all
    for i, image in enumerate(images):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:02}.png")
        if i in damaged:
            (folder / f"{i:02}.png").write_bytes(b"no image")
    skipped = []
    source = open_data(tmp_path, (4, 4, 1), on_skip=lambda file, reason: skipped.append((file.name, reason)))
    number = {row: int(file.stem) for row, file in enumerate(source.files)}
    kept = store()
    found = embed(Sums(), source, kept, 3)
    assert {int(name[:2]) for name, _ in skipped} == damaged
    assert len(skipped) == len(damaged)
    assert [number[int(row)] for row in found.rows] == [0 + n for n in number.values() if n not in damaged]
    expected = [images[number[int(row)]].sum(dtype=np.float32) for row in found.rows]
    np.testing.assert_array_equal(kept.table[found.at][:, 0], expected)


@pytest.mark.parametrize("who", ["reader", "backbone", "listener"])
@pytest.mark.parametrize("number", [0, 2])
def test_an_error_ends_it_and_what_was_computed_before_is_stored(who, number):
    samples, kept = different_images(12), store()

    def fail_at(place):
        calls = []

        def call(*_):
            calls.append(None)
            if place == who and len(calls) > number:
                raise DataError("no more")

        return call

    class Failing:
        __len__ = samples.__len__
        fail = staticmethod(fail_at("reader"))

        def read(self, rows):
            self.fail()
            return samples.read(rows)

    with pytest.raises(DataError, match="no more"):
        embed(Sums(fail_at("backbone")), Failing(), kept, 3, fail_at("listener"))
    assert len(kept.table) == 3 * (number + (who == "listener"))
