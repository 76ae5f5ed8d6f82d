"""What tests share: real digits, trained networks, and bundles exported from them.

Training and exporting take many seconds, so both are kept in pytest's cache folder, each under a hash of the sources
that make it; `pytest --cache-clear` makes them anew.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.labelled_images import LabelledImages
from tests import exported_bundles, trained_networks
from tests.device.small_bundles import with_few_golden
from tests.made_once import made_once

# Before anything imports TensorFlow: its C++ side reads this once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Hundreds of child processes would each compile our sources anew, in half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A job in the background may be started with Ctrl-C ignored, and tests send it to themselves and to their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def digits_split() -> tuple[LabelledImages, LabelledImages]:
    """Training and test part of `digits`."""
    from edge_cnn.host.datasets import load_dataset

    digits = load_dataset("digits")
    return digits.train, digits.test


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an architecture for tests of the training around a network; TensorFlow traces it in a third of the time.

    Any network of the table serves them, and lenet is what the tests of the learning itself use.
    """
    import keras

    from edge_cnn.host.architectures import ARCHITECTURES
    from edge_cnn.host.architectures.architecture import LOGITS, SCORES, Architecture

    def build(image_shape: tuple[int, int, int], classes: int) -> Any:
        image = keras.Input(image_shape, name="image")
        # Not ReLU, which may make a zero of a NaN.
        features = keras.layers.Dense(16, activation="tanh", name="hidden")(keras.layers.Flatten()(image))
        logits = keras.layers.Dense(classes, name=LOGITS)(features)
        return keras.Model(image, keras.layers.Softmax(name=SCORES)(logits))

    monkeypatch.setitem(ARCHITECTURES, "small", Architecture("small", "two fully-connected layers", 1, build))
    return "small"


@pytest.fixture(scope="session")
def keras_path(exported: Path) -> Path:
    """The trained network as `train` writes it: model.keras with training.json beside it."""
    return exported / "model.keras"


@pytest.fixture(scope="session")
def keras_model(keras_path: Path) -> Any:
    """A lenet trained on digits for a few epochs."""
    import keras

    return keras.models.load_model(keras_path, compile=False)


@pytest.fixture(scope="session")
def bundle_path(exported: Path) -> Path:
    """A bundle with int8 and float32 for rpi5 and jetson-orin; copy it before you change it."""
    return exported / "model.edgecnn"


@pytest.fixture(scope="session")
def few_golden_path(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundle with every eighth golden sample: recording all of them takes most of a small fine-tuning."""
    path = tmp_path_factory.mktemp("few_golden") / "model.edgecnn"
    with_few_golden(read_bundle(bundle_path), 8).write(path)
    return path


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    """What `bundle_path` holds."""
    return read_bundle(bundle_path)


@pytest.fixture(scope="session")
def artifacts(bundle: Bundle) -> dict[str, Artifact]:
    """The bundle's files by "SCHEME.FORMAT"; its int8.onnx has symmetric activations, as jetson-orin takes."""
    return {f"{entry.scheme}.{entry.format}": bundle.artifact(entry.name) for entry in bundle.manifest.artifacts}


@pytest.fixture(scope="session")
def onnx_cpu_int8(exported: Path) -> Artifact:
    """The int8 ONNX file for CPUs: uint8 activations, int32 bias."""
    return read_bundle(exported / "cpu.edgecnn").artifacts[0]


@pytest.fixture(scope="session")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with model.keras, training.json, model.edgecnn and cpu.edgecnn."""
    return _exported(request, tmp_path_factory, "lenet", trained_networks.train_lenet, exported_bundles.export_lenet)


@pytest.fixture(scope="session")
def eight_digits_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as `bundle_path`, of a network that was trained without the digits 8 and 9 and has no such classes.

    It is trained longer: features of three passes over eight digits hardly tell the other two apart, whatever head is
    put on them.
    """
    train, export = trained_networks.train_lenet_on_eight_digits, exported_bundles.export_lenet_of_eight_digits
    return _exported(request, tmp_path_factory, "eight_digits", train, export) / "model.edgecnn"


@pytest.fixture(scope="session")
def resnet8_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with model.edgecnn, a ResNet-8 for colour images as int8 .tflite and QDQ .onnx; and dropped.edgecnn, which
    is the same without its batch normalization.
    """
    train, export = trained_networks.train_resnet8, exported_bundles.export_resnet8
    return _exported(request, tmp_path_factory, "resnet8", train, export)


@pytest.fixture(scope="session")
def resnet8(resnet8_folder: Path) -> Bundle:
    """A trained ResNet-8 for 32x32 colour images: int8 .tflite for rpi5, QDQ .onnx with uint8 activations for CPUs."""
    return read_bundle(resnet8_folder / "model.edgecnn")


@pytest.fixture(scope="session")
def coloured_split(digits_split: tuple[LabelledImages, LabelledImages]) -> tuple[LabelledImages, LabelledImages]:
    """What the ResNet-8 of `resnet8_folder` learned from, and was measured with: digits as 32x32 colour images."""
    train, test = digits_split
    return trained_networks.coloured(train, 1), trained_networks.coloured(test.select(slice(300)), 2)


@pytest.fixture(scope="session")
def depthwise_graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The `FloatGraph` of a depthwise network that knows the digits at 16x16 (tests/converters/skewed_nets.py)."""
    from converters.float_graph.float_graph import FloatGraph
    from tests.converters import skewed_nets

    train_part = request.getfixturevalue("digits_split")[0]

    def make(made: Path) -> None:
        (made / "model.tflite").write_bytes(skewed_nets.trained_depthwise_net(train_part).data)

    folder = made_once(request, tmp_path_factory, "depthwise", skewed_nets.__name__, make)
    return FloatGraph((folder / "model.tflite").read_bytes())


def _exported(
    request: pytest.FixtureRequest,
    factory: pytest.TempPathFactory,
    name: str,
    train: Callable[[Path], None],
    export: Callable[[Path], None],
) -> Path:
    """Folder with the files of `train` and `export`; what is exported anew is not trained anew."""

    def make(folder: Path) -> None:
        trained = made_once(request, factory, f"{name}_trained", trained_networks.__name__, train)
        shutil.copytree(trained, folder, dirs_exist_ok=True)
        export(folder)

    return made_once(request, factory, f"{name}_exported", exported_bundles.__name__, make)
