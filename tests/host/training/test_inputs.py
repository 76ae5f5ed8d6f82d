import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training.inputs import balanced_weights, default_preprocessing, model_inputs


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
