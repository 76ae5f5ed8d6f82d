"""From a trained model on disk to what the converters take."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

from converters.converter_output import silent_step
from converters.sources.keras_file import load_keras
from converters.sources.loaded_graph import LoadedGraph, image_shape, try_batch
from converters.sources.saved_model import load_saved_model
from converters.sources.source_model import SourceModel
from converters.sources.training_file import TRAINING_FILE, read_training
from edge_cnn.core.errors import ModelError

_WANTED = "give a .keras or .h5 file or a SavedModel folder"
_HDF5_MARK = b"\x89HDF\r\n\x1a\n"


def load_source_model(path: Path) -> SourceModel:
    """Read a `.keras` or `.h5` file or a SavedModel folder, with the `training.json` beside it if there is one.

    Raises:
        UnavailableError: TensorFlow is not installed here.
        ModelError: missing, truncated, of another kind, not an image classifier, or `training.json` does not fit it.
    """
    load = _loader(path)
    with silent_step(f"reading {path}"):
        function, input_shape, output_shape = load(path)
    shape = image_shape(path, input_shape)
    if len(output_shape) != 2 or not output_shape[1] or output_shape[1] < 2:
        raise ModelError(f"{path} has output shape {output_shape}, a classifier has (n, classes); give a classifier")
    with silent_step(f"running {path}"):
        try_batch(path, function, input_shape, shape)
    beside = path.with_name(TRAINING_FILE)
    labels, preprocessing, training = read_training(beside) if beside.is_file() else (None, None, {})
    if labels is not None and len(labels) != output_shape[1]:
        raise ModelError(
            f"{beside} names {len(labels)} classes, {path.name} has {output_shape[1]}; "
            "it belongs to another model, remove it or train again"
        )
    if preprocessing is not None and preprocessing.image_shape != shape:
        raise ModelError(
            f"{beside} is for images of shape {preprocessing.image_shape}, {path.name} takes {shape}; "
            "it belongs to another model, remove it or train again"
        )
    return SourceModel(path.stem, function, shape, int(output_shape[1]), labels, preprocessing, training)


def _loader(path: Path) -> Callable[[Path], LoadedGraph]:
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return load_saved_model
        raise ModelError(f"{path} is a folder without saved_model.pb; {_WANTED}")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except FileNotFoundError:
        raise ModelError(f"no model at {path}; {_WANTED}, or make one with 'edge-cnn train'") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    suffix = path.suffix.lower()
    if suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise ModelError(f"{path} is not a whole .keras file ({path.stat().st_size} bytes); copy it or train again")
        return load_keras
    if suffix in (".h5", ".hdf5"):
        if start != _HDF5_MARK:
            raise ModelError(f"{path} is not an HDF5 file; copy it or save it again")
        return load_keras
    raise ModelError(f"{path} is not a model that export reads; {_WANTED}")
