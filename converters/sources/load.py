"""From a trained model on disk to what the converters take."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converters.converter_output import silent_step
from converters.sources.keras_file import load_keras, read_keras_model
from converters.sources.loaded_graph import LoadedGraph, known_shape, try_batch
from converters.sources.onnx_file import load_onnx
from converters.sources.saved_model import load_saved_model
from converters.sources.source_model import SourceModel
from converters.sources.tflite_file import load_tflite
from converters.sources.training_file import TRAINING_FILE, read_training
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.architectures.architecture import RECONSTRUCTION

_WANTED = "give a .keras, .h5, .onnx or .tflite file or a SavedModel folder"
_TRAINABLE = "give a .keras or .h5 file, which alone can be trained, or keras:NAME for an application of Keras"
_HDF5_MARK = b"\x89HDF\r\n\x1a\n"


def load_classifier(path: Path) -> SourceModel:
    """As `load_source_model`, for what becomes a bundle.

    Raises:
        UnavailableError, ModelError: as `load_source_model`; also if it is not an image classifier.
    """
    source = load_source_model(path)
    _ = source.image_shape, source.classes  # each raises if the model has none
    if source.training.get("task") == RECONSTRUCTION:
        raise ModelError(
            f"{path.name} gives its input back and has no classes, and a bundle is for classifiers; give a classifier"
        )
    return source


def load_source_model(path: Path) -> SourceModel:
    """Read a model of one input and one output: `.keras`, `.h5`, `.onnx`, float `.tflite` or a SavedModel folder.

    Labels and preprocessing come from the file itself, or from the `training.json` beside it.

    Raises:
        UnavailableError: TensorFlow is not installed here.
        ModelError: missing, truncated, of another kind, already quantized, of several or dynamic inputs, with an
            operator that is not read, or `training.json` does not fit it.
    """
    load = _loader(path)
    with silent_step(f"reading {path}"):
        loaded = load(path)
    input_shape = known_shape(path, loaded.input_shape)
    with silent_step(f"running {path}"):
        output_shape = try_batch(path, loaded.function, loaded.input_shape)
    source = SourceModel(
        path.stem, loaded.function, input_shape, output_shape, described_by=path.name, float_tflite=loaded.float_tflite
    )
    return _described(source, loaded, path)


def load_keras_network(path: Path) -> tuple[Any, tuple[str, ...] | None, Preprocessing | None]:
    """A network to go on training: the `keras.Model`, and labels and preprocessing of the `training.json` beside it.

    Raises:
        UnavailableError: TensorFlow is not installed here.
        ModelError: missing, truncated, not of Keras, of Keras 2 with operations that only Keras 2 knows, or
            `training.json` is damaged.
    """
    if _loader(path, "--from", _TRAINABLE) is not load_keras:
        raise ModelError(f"{path} is not a Keras file; {_TRAINABLE}")
    with silent_step(f"reading {path}"):
        model = read_keras_model(path)
    if any(type(layer).__module__.split(".")[0] != "keras" for layer in model.layers):
        raise ModelError(f"{path} is of Keras 2 and has operations that Keras 3 cannot write; build it anew in Keras 3")
    beside = path.with_name(TRAINING_FILE)
    labels, preprocessing = read_training(beside)[:2] if beside.is_file() else (None, None)
    return model, labels, preprocessing


def _described(source: SourceModel, loaded: LoadedGraph, path: Path) -> SourceModel:
    """With labels and preprocessing: what the file itself says holds before what stands beside it."""
    from dataclasses import replace

    if loaded.labels is not None and len(loaded.labels) == source.output_shape[-1]:
        source = replace(source, labels=loaded.labels)
    if loaded.preprocessing is not None and loaded.preprocessing.image_shape == source.input_shape:
        source = replace(source, preprocessing=loaded.preprocessing)
    beside = path.with_name(TRAINING_FILE)
    if source.labels is not None or source.preprocessing is not None or not beside.is_file():
        return source
    labels, preprocessing, training = read_training(beside)
    if training.get("task") == RECONSTRUCTION:
        labels = None
    elif (len(labels),) != source.output_shape:
        raise ModelError(
            f"{beside} names {len(labels)} classes, {path.name} has {source.output_shape[-1]}; "
            "it belongs to another model, remove it or train again"
        )
    if preprocessing.image_shape != source.input_shape:
        raise ModelError(
            f"{beside} is for images of shape {preprocessing.image_shape}, {path.name} takes {source.input_shape}; "
            "it belongs to another model, remove it or train again"
        )
    return replace(source, labels=labels, preprocessing=preprocessing, training=training, described_by=TRAINING_FILE)


def _loader(path: Path, reader: str = "export", wanted: str = _WANTED) -> Callable[[Path], LoadedGraph]:
    """By content and name of the file; `reader` and `wanted` are what a refusal speaks of."""
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return load_saved_model
        raise ModelError(f"{path} is a folder without saved_model.pb; {wanted}")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except FileNotFoundError:
        raise ModelError(f"no model at {path}; {wanted}, or make one with 'edge-cnn train'") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    suffix = path.suffix.lower()
    if suffix in _LOADERS and not start:
        raise ModelError(f"{path} is empty; copy it or save it again")
    if suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is not a whole .keras file ({path.stat().st_size} bytes); copy it or train again")
    if suffix in (".h5", ".hdf5") and start != _HDF5_MARK:
        raise ModelError(f"{path} is not an HDF5 file; copy it or save it again")
    if suffix not in _LOADERS:
        raise ModelError(f"{path} is not a model that {reader} reads; {wanted}")
    return _LOADERS[suffix]


_LOADERS: dict[str, Callable[[Path], LoadedGraph]] = {
    ".keras": load_keras,
    ".h5": load_keras,
    ".hdf5": load_keras,
    ".onnx": load_onnx,
    ".tflite": load_tflite,
}
