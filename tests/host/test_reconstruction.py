import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.reconstruction import reconstruct
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training import TrainConfig
from edge_cnn.host.training.inputs import default_preprocessing


@pytest.fixture
def samples():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 2, 3, 1), np.uint8)
    return LabelledImages(pixels, np.array([0, 0, 0, 2, 2, 2]), ("a", "b", "c"))


def test_errors_are_mean_squares_and_classes_have_theirs(samples):
    _, keras = import_tensorflow()
    image = keras.Input((2, 3, 1))
    half = keras.Model(image, keras.layers.Flatten()(keras.layers.Rescaling(0.5)(image)))
    rebuilt = reconstruct(half, samples, default_preprocessing(samples))
    flat = samples.images.reshape(6, 6) / 255
    np.testing.assert_allclose(rebuilt.errors, (flat**2).mean(axis=1) / 4, rtol=1e-5)
    assert rebuilt.loss == pytest.approx((flat**2).mean() / 4)
    assert rebuilt.mean_loss == pytest.approx(((flat - flat.mean(axis=0)) ** 2).mean())
    assert rebuilt.class_errors == pytest.approx({"a": (flat[:3] ** 2).mean() / 4, "c": (flat[3:] ** 2).mean() / 4})


@pytest.mark.parametrize(
    ("architecture", "objective", "said"),
    [
        ("autoencoder", "cross-entropy", "autoencoder gives its input back; give --objective reconstruction"),
        ("lenet", "reconstruction", "lenet gives scores over classes; give --objective cross-entropy or squared-error"),
    ],
)
def test_an_objective_for_another_kind_of_network_is_refused(architecture, objective, said):
    with pytest.raises(InputError, match=f"objective {objective}: {said}"):
        TrainConfig(architecture=architecture, objective=objective)
