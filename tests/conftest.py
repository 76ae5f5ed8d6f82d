"""What tests share: real digits, one trained network, and one bundle exported from it.

Training and exporting take many seconds, so both are kept in pytest's cache folder under a hash of the sources that
make them; `pytest --cache-clear` makes them anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.labelled_images import LabelledImages

# Before anything imports TensorFlow: its C++ side reads this once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Hundreds of child processes would each compile our sources anew, in half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("edge_cnn/host", "edge_cnn/core", "edge_cnn/device", "converters", "tests/conftest.py")
EPOCHS = 3
SECONDS_KEPT = 24 * 3600


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
        features = keras.layers.Dense(16, activation="tanh")(keras.layers.Flatten()(image))
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
    digits = request.getfixturevalue("digits_split")
    return _made_once(request, tmp_path_factory, "exported", lambda made: _train_and_export(made, *digits))


@pytest.fixture(scope="session")
def eight_digits_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as `bundle_path`, of a network that was trained without the digits 8 and 9 and has no such classes.

    It is trained longer: features of three passes over eight digits hardly tell the other two apart, whatever head is
    put on them.
    """

    def make(made: Path) -> None:
        parts = [part.select(part.labels < 8) for part in request.getfixturevalue("digits_split")]
        _train_and_export(made, *(replace(p, class_names=p.class_names[:8]) for p in parts), epochs=10, augment=True)

    return _made_once(request, tmp_path_factory, "eight_digits", make) / "model.edgecnn"


@pytest.fixture(scope="session")
def resnet8_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with model.edgecnn, a ResNet-8 for colour images as int8 .tflite and QDQ .onnx; and dropped.edgecnn, which
    is the same without its batch normalization.
    """
    digits = request.getfixturevalue("digits_split")
    return _made_once(request, tmp_path_factory, "resnet8", lambda made: _export_resnet8(made, *digits))


@pytest.fixture(scope="session")
def resnet8(resnet8_folder: Path) -> Bundle:
    """A trained ResNet-8 for 32x32 colour images: int8 .tflite for rpi5, QDQ .onnx with uint8 activations for CPUs."""
    return read_bundle(resnet8_folder / "model.edgecnn")


@pytest.fixture(scope="session")
def coloured_split(digits_split: tuple[LabelledImages, LabelledImages]) -> tuple[LabelledImages, LabelledImages]:
    """What the ResNet-8 of `resnet8_folder` learned from, and was measured with: digits as 32x32 colour images."""
    return _coloured(digits_split[0], 1), _coloured(digits_split[1].select(slice(300)), 2)


@pytest.fixture(scope="session")
def depthwise_graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The `FloatGraph` of a depthwise network that knows the digits at 16x16 (tests/converters/skewed_nets.py)."""
    from converters.float_graph.float_graph import FloatGraph
    from tests.converters.skewed_nets import trained_depthwise_net

    train_part = request.getfixturevalue("digits_split")[0]

    def make(made: Path) -> None:
        (made / "model.tflite").write_bytes(trained_depthwise_net(train_part).data)

    return FloatGraph((_made_once(request, tmp_path_factory, "depthwise", make) / "model.tflite").read_bytes())


def _made_once(
    request: pytest.FixtureRequest, factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """The folder that `make` fills, from the cache where the sources are the same."""
    keeper = getattr(request.config, "cache", None)  # None with -p no:cacheprovider
    cache = keeper.mkdir(f"edge_cnn_{name}") if keeper else factory.mktemp(name)
    folder = cache / _fingerprint()
    if not folder.is_dir():
        made = factory.mktemp("making")
        make(made)
        _keep(made, folder)
    return folder


def _keep(made: Path, folder: Path) -> None:
    """Move `made` to `folder` at once, since another session may do the same; forget what is older than a day."""
    for stale in folder.parent.iterdir():
        if time.time() - stale.stat().st_mtime > SECONDS_KEPT:
            shutil.rmtree(stale, ignore_errors=True)
    beside = folder.with_name(f"{folder.name}-{os.getpid()}")
    shutil.copytree(made, beside)
    try:
        beside.rename(folder)
    except OSError:  # The other session was first.
        shutil.rmtree(beside)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _train_and_export(
    folder: Path, train_part: LabelledImages, test_part: LabelledImages, *, epochs: int = EPOCHS, augment: bool = False
) -> None:
    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.load import load_source_model
    from edge_cnn.host.training import TrainConfig, train

    # Augmentation is what takes long, and what a few epochs gain nothing from.
    trained = train(TrainConfig("lenet", epochs=epochs, patience=None, augment=augment), train_part)
    trained.model.save(folder / "model.keras")
    about = {
        "labels": trained.labels,
        "preprocessing": trained.preprocessing.to_json(),
        "architecture": "lenet",
        "seed": trained.config.seed,
    }
    (folder / "training.json").write_text(json.dumps(about))
    source = load_source_model(folder / "model.keras")
    assert source.preprocessing is not None
    data = ExportData(train_part, test_part, {"name": "digits"})
    for name, targets, schemes in (
        ("model.edgecnn", ("rpi5", "jetson-orin"), ("int8", "float32")),
        ("cpu.edgecnn", ("rpi5-onnx",), ("int8",)),
    ):
        config = ExportConfig(targets, schemes)
        export_bundle(source, data, config, preprocessing=source.preprocessing).write(folder / name)


def _export_resnet8(folder: Path, train_part: LabelledImages, test_part: LabelledImages) -> None:
    from converters.export import ExportConfig, ExportData, export_bundle
    from converters.sources.load import load_source_model
    from edge_cnn.core.preprocessing import input_range
    from edge_cnn.host.training import TrainConfig, train

    # The export measures on all test samples, and the reference kernels are slow.
    few = test_part.select(slice(300))
    data = ExportData(_coloured(train_part, 1), _coloured(few, 2), {"name": "digits in colour"})
    model = train(TrainConfig("resnet8", epochs=4, patience=None, augment=False), data.train).model
    config = ExportConfig(("rpi5", "rpi5-onnx"), ("int8",), calibration_samples=200)
    for name in ("model", "dropped"):
        model.save(folder / f"{name}.keras")
        source = load_source_model(folder / f"{name}.keras")
        preprocessing = input_range(0.0, 1.0, (32, 32, 3))
        export_bundle(source, data, config, preprocessing=preprocessing).write(folder / f"{name}.edgecnn")
        for layer in model.layers:
            if type(layer).__name__ == "BatchNormalization":
                _, _, mean, variance = layer.get_weights()
                layer.set_weights([(variance + layer.epsilon) ** 0.5, mean, mean, variance])


def _coloured(digits: LabelledImages, seed: int) -> LabelledImages:
    """The digits as 32x32 RGB images, each in a colour on another, so that channels cannot be swapped unseen."""
    import numpy as np

    rng = np.random.default_rng(seed)
    ink, paper = (rng.integers(*bounds, (len(digits), 1, 1, 3)) for bounds in ((120, 256), (0, 90)))
    strokes = np.pad(digits.images / 255, ((0, 0), (2, 2), (2, 2), (0, 0)))
    images = np.rint(paper + strokes * (ink - paper)).astype(np.uint8)
    return LabelledImages(images, digits.labels, digits.class_names)
