import hashlib

import numpy as np
import pytest

from edge_cnn.core.errors import InputError, ModelError, UnavailableError
from edge_cnn.host.transfer.applications import APPLICATIONS, load_application

NAME = "MobileNetV2-0.35"


@pytest.fixture(scope="module")
def made():
    """An application with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg")


def write_legacy(model, path):
    """As the files that Keras publishes are written."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize(
    ("name", "write"),
    [("new.weights.h5", lambda model, path: model.save_weights(path)), ("old.h5", write_legacy)],
)
def test_weights_come_from_a_file(made, tmp_path, name, write):
    write(made, tmp_path / name)
    loaded = load_application(NAME, 32, tmp_path / name)
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), loaded.model.get_weights(), strict=True))
    assert loaded.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert loaded.name == "keras:MobileNetV2-0.35"
    assert loaded.labels is None


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_the_file_of_imagenet_is_the_one_that_keras_fetches_and_the_input_range_its_own(name, monkeypatch):
    import inspect

    import keras
    from keras.src.utils import file_utils

    application, asked = APPLICATIONS[name], []

    def note(file, origin, **_named):
        asked.append((file, origin))
        raise ConnectionError

    monkeypatch.setattr(file_utils, "get_file", note)
    with pytest.raises(ConnectionError):
        _with_imagenet(keras.applications, application)
    assert asked == [(application.file(application.side), application.address(application.side))]

    module = inspect.getmodule(getattr(keras.applications, name.partition("-")[0]))
    ends = module.preprocess_input(np.array([[[[0.0, 0.0, 0.0]]], [[[255.0, 255.0, 255.0]]]], np.float32))
    assert [float(ends[0].max()), float(ends[1].min())] == [application.low, application.high]


def _with_imagenet(applications, application):
    shape = (application.side, application.side, 3)
    named = {"input_shape": shape, "include_top": False, "pooling": "avg"}

    class Imagenet:
        """Keras' functions, asked for ImageNet's weights whatever the row says."""

        def __getattr__(self, function):
            def call(**options):
                return getattr(applications, function)(**{**options, "weights": "imagenet"})

            return call

    return application.make(Imagenet(), **named)


def test_without_the_network_one_line_says_where_to_put_the_file(monkeypatch, tmp_path):
    import keras

    def no_network(*_arguments, **_named):
        raise Exception("URL fetch failure on https://x: None -- [Errno -2] Name or service not known")  # noqa: TRY002  # as Keras does

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", no_network)
    with pytest.raises(UnavailableError) as caught:
        load_application(NAME)
    assert str(caught.value) == (
        "cannot download the weights of keras:MobileNetV2-0.35 ([Errno -2] Name or service not known); put "
        "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5 into "
        f"{tmp_path}/models as mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5, "
        "or give --weights FILE"
    )


def test_what_lies_in_the_cache_of_keras_is_taken(made, monkeypatch, tmp_path):
    import keras

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", lambda *_a, **_n: pytest.fail("nothing is to be fetched"))
    (tmp_path / "models").mkdir()
    write_legacy(made, tmp_path / "models" / APPLICATIONS[NAME].file(32))
    loaded = load_application(NAME, 32)
    assert np.array_equal(loaded.model.get_weights()[0], made.get_weights()[0])


def test_a_file_that_holds_only_a_part_is_refused(made, tmp_path):
    import keras

    part = keras.Model(made.inputs, made.layers[60].output)
    part.save(tmp_path / "part.keras")
    with pytest.raises(ModelError, match=r"those of keras:MobileNetV2-0\.35 without"):
        load_application(NAME, 32, tmp_path / "part.keras")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("w.weights.h5", lambda model, path: model.save_weights(path)),
        ("w.keras", lambda model, path: model.save(path)),
        ("w.h5", write_legacy),
    ],
)
def test_weights_of_a_wider_network_are_told_as_such(tmp_path, name, write):
    import keras

    wide = keras.applications.MobileNetV2((32, 32, 3), alpha=0.5, include_top=False, weights=None, pooling="avg")
    write(wide, tmp_path / name)
    with pytest.raises(ModelError) as caught:
        load_application(NAME, 32, tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name} holds weights of other shapes than those of keras:MobileNetV2-0.35 without its head, or of "
        "another network; give those of the same network, saved with save_weights"
    )


@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "w.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="no weights at" if content is None else "does not hold the weights of"):
        load_application(NAME, 32, path)


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        ("VGG16", None, "unknown Keras application 'VGG16'; known: MobileNet-0.25, MobileNet,"),
        (NAME, 31, "images of 31x31 pixels for keras:MobileNetV2-0.35: give 32 to 1024"),
        (NAME, 1025, "images of 1025x1025 pixels"),
    ],
)
def test_bad_names_and_sides_are_refused(name, side, said):
    with pytest.raises(InputError, match=said):
        load_application(name, side)
