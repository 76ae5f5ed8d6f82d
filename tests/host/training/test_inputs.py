import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training.augmentation import Augmentation
from edge_cnn.host.training.inputs import balanced_weights, default_preprocessing, model_inputs, training_batches


def samples(images):
    return LabelledImages(images, np.arange(len(images)) % 2, ("a", "b"))


def test_pixels_are_brought_to_0_to_1():
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    preprocessing = default_preprocessing(samples(pixels))
    assert preprocessing == Preprocessing(8, 8, 1, (0.0,), (255.0,))
    assert np.array_equal(model_inputs(pixels, preprocessing), (pixels / 255.0).astype(np.float32))


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, (0, 1)), (-0.9, 0.5, (-1, 1)), (0, 200, (0, 255)), (-5, 5, (0, 255))]
)
def test_floats_stay_as_they_are_and_tell_the_range_of_their_pixels(low, high, expected):
    inputs = np.linspace(low, high, 256, dtype=np.float32).reshape(4, 8, 8, 1)
    preprocessing = default_preprocessing(samples(inputs))
    ends = [(pixel - preprocessing.mean[0]) / preprocessing.std[0] for pixel in (0, 255)]
    assert ends == pytest.approx(expected)
    assert np.array_equal(model_inputs(inputs, preprocessing), inputs)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((2, 8, 9, 1), np.uint8), r"shape \(8, 9, 1\), the model takes \(8, 8, 1\)"),
        (np.zeros((2, 8, 8, 3), np.float32), r"shape \(8, 8, 3\), the model takes \(8, 8, 1\)"),
        (np.stack([np.zeros((8, 8, 1)), np.full((8, 8, 1), -np.inf)]), "1 samples hold NaN or infinity, .* number 1"),
    ],
)
def test_inputs_that_no_model_should_see_are_refused(images, said):
    with pytest.raises(DataError, match=said):
        model_inputs(images, Preprocessing(8, 8, 1))


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [5, 50, 20])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(labels, 3), expected, rtol=1e-6)


def stream(epochs=2, batch_size=4, augmentation=None, seed=0, class_weights=None):
    inputs = np.arange(10 * 64, dtype=np.float32).reshape(10, 8, 8, 1)
    labels = np.arange(10) % 2
    batches, steps = training_batches(
        inputs,
        labels,
        class_weights,
        augmentation,
        epochs=epochs,
        batch_size=batch_size,
        rng=np.random.default_rng(seed),
    )
    return [tuple(np.asarray(part) for part in batch) for batch in batches], steps


def test_an_epoch_shows_no_sample_twice_and_each_with_its_label():
    batches, steps = stream()
    assert steps == 2
    assert len(batches) == 4
    for epoch in (batches[:2], batches[2:]):
        numbers = np.concatenate([inputs[:, 0, 0, 0] / 64 for inputs, _, _ in epoch]).astype(int)
        labels = np.concatenate([labels for _, labels, _ in epoch])
        assert len(set(numbers.tolist())) == 8
        assert np.array_equal(labels, numbers % 2)
    assert not np.array_equal(batches[0][0], batches[2][0])


def test_samples_weigh_what_their_class_weighs():
    for _, labels, weights in stream(class_weights=np.array([0.5, 3.0], np.float32))[0]:
        assert np.array_equal(weights, np.where(labels == 0, np.float32(0.5), np.float32(3)))
    assert all((weights == 1).all() for _, _, weights in stream()[0])


def test_the_same_generator_gives_the_same_bytes():
    first, second, other = (stream(augmentation=Augmentation(), seed=seed)[0] for seed in (0, 0, 1))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
