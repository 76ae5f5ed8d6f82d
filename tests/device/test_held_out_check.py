"""What the files themselves answer to the held-out samples, read some at a time."""

import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.data import gather
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_store import MemoryStore
from edge_cnn.device.finetuning.finetuning import finetune
from edge_cnn.device.finetuning.held_out_check import check_held_out, file_accuracy
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.writing import logits_of_file, write_head
from edge_cnn.device.opening import classifier_of_file

KEYS = ("int8.tflite", "float32.onnx")


@pytest.fixture(scope="module", params=KEYS)
def tuned(request, artifacts, digits_split):
    """(classifier before, result, samples, embedder, data) of one fine-tuning."""
    part = digits_split[1].select(np.arange(80))
    samples = LabelledImages(255 - part.images, part.labels, part.class_names)
    before = classifier_of_file(artifacts[request.param])
    result = finetune(before, samples.images, samples.labels)
    embedder = Embedder(before)
    info = embedder.split.info
    store = MemoryStore(info.features, info.embedding.numpy_dtype)
    # The split of the same seed.
    data = gather(before, embedder, samples, None, store, 0.2, 32, np.random.default_rng(0), *[lambda *_: None] * 2)
    return before, result, samples, embedder, data


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_answers_and_errors_are_those_of_the_files_in_any_batch_size(tuned, batch):
    before, result, samples, embedder, data = tuned
    found = check_held_out(before, result.classifier, result.head, embedder, samples, data, batch)
    rows = found.answers.rows
    assert sorted(rows.tolist()) == result.order["holdout"]
    images, labels = samples.images[rows], samples.labels[rows]
    np.testing.assert_array_equal(found.answers.labels, labels)
    np.testing.assert_array_equal(found.answers.before, before.predict(images).indices)
    np.testing.assert_array_equal(found.answers.after, result.classifier.predict(images).indices)
    real = embedder.to_real(np.concatenate([embedder.codes(image[None]) for image in images]))
    meant = real.astype(np.float64) @ result.head.weights.T.astype(np.float64) + result.head.bias
    assert found.float_head_accuracy == np.mean(meant.argmax(axis=1) == labels)
    assert found.max_logit_error == pytest.approx(result.certificate.max_logit_error)


def test_logits_of_a_file_are_what_its_softmax_is_of(tuned):
    _, result, samples, _, _ = tuned
    classifier: Classifier = result.classifier
    logits = logits_of_file(classifier.artifact, classifier)(samples.images)
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    expected = exponents / exponents.sum(axis=1, keepdims=True)
    # An int8 softmax answers in steps of 1/256.
    np.testing.assert_allclose(classifier.predict(samples.images).scores, expected, atol=1 / 256 + 1e-6)


def test_a_written_head_answers_as_it_was_meant(tuned):
    before, result, samples, embedder, _ = tuned
    codes = np.concatenate([embedder.codes(image[None]) for image in samples.images])
    rng = np.random.default_rng(0)
    head = SoftmaxHead(
        rng.normal(0, 0.1, result.head.weights.shape).astype(np.float32),
        rng.normal(0, 0.1, result.head.bias.shape).astype(np.float32),
    )
    file = write_head(before.artifact, head, embedder, (codes[:40], codes[40:]))
    assert len(file.data) == len(before.artifact.data)
    written = logits_of_file(file, before)(samples.images)
    meant = embedder.to_real(codes) @ head.weights.T + head.bias
    spread = meant.max() - meant.min()
    assert np.abs(written - meant).max() < (1e-4 if before.artifact.format == "onnx" else 0.02) * spread


def test_the_accuracy_on_embeddings_is_counted_and_none_without_any(tuned):
    _, result, samples, embedder, _ = tuned
    codes = np.concatenate([embedder.codes(image[None]) for image in samples.images])
    real = embedder.to_real(codes).astype(np.float64)
    expected = np.mean((real @ result.head.weights.T + result.head.bias).argmax(axis=1) == samples.labels)
    assert file_accuracy(result.head, codes, samples.labels, embedder) == expected
    assert file_accuracy(result.head, codes[:0], samples.labels[:0], embedder) is None


def test_a_sample_that_can_no_longer_be_read_is_an_error(tuned):
    before, result, samples, embedder, data = tuned

    class Fading:
        def read(self, rows):
            images, read = samples.read(rows)
            return images[1:], read[1:]

    with pytest.raises(DataError, match=r"images have gone .*; start again"):
        check_held_out(before, result.classifier, result.head, embedder, Fading(), data, 8)
