"""From a trained model on disk to a function that the converters take."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from edge_cnn.core.errors import EdgeCnnError, ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.tensorflow_import import import_tensorflow

TRAINING_FILE = "training.json"
"""Stands beside the model that `train` writes: labels, preprocessing and how the model came about."""

_WANTED = "give a .keras or .h5 file or a SavedModel folder"
_HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_BATCH = 256


@dataclass(frozen=True)
class SourceModel:
    """A float classifier, whatever file it came from.

    Attributes:
        name: of the file, without its suffix.
        function: a tf.function, float32 (n, height, width, channels) -> float32 (n, classes).
        image_shape: (height, width, channels) of its input.
        classes: width of its output.
        labels: class names, None where the file has none beside it.
        preprocessing: from pixels to its input, None where the file has none beside it.
        training: what `training.json` says of its making, JSON values.
    """

    name: str
    function: Any
    image_shape: tuple[int, int, int]
    classes: int
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    training: dict[str, Any] = field(default_factory=dict[str, Any])

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Model inputs (n, height, width, channels) -> outputs (n, classes)."""
        chunks = [np.asarray(self.function(inputs[i : i + _BATCH])) for i in range(0, len(inputs), _BATCH)]
        return np.concatenate(chunks).astype(np.float32, copy=False)


def load_source_model(path: Path) -> SourceModel:
    """Read a `.keras` or `.h5` file or a SavedModel folder, with the `training.json` beside it if there is one.

    Raises:
        UnavailableError: TensorFlow is not installed here.
        ModelError: missing, truncated, of another kind, not an image classifier, or `training.json` does not fit it.
    """
    load = _loader(path)
    with silent_step(f"reading {path}"):
        function, input_shape, output_shape = load(path)
    image_shape = _image_shape(path, input_shape)
    if len(output_shape) != 2 or not output_shape[1] or output_shape[1] < 2:
        raise ModelError(f"{path} has output shape {output_shape}, a classifier has (n, classes); give a classifier")
    with silent_step(f"running {path}"):
        _try_batch(path, function, input_shape, image_shape)
    beside = path.with_name(TRAINING_FILE)
    labels, preprocessing, training = _read_training(beside) if beside.is_file() else (None, None, {})
    if labels is not None and len(labels) != output_shape[1]:
        raise ModelError(
            f"{beside} names {len(labels)} classes, {path.name} has {output_shape[1]}; "
            "it belongs to another model, remove it or train again"
        )
    if preprocessing is not None and preprocessing.image_shape != image_shape:
        raise ModelError(
            f"{beside} is for images of shape {preprocessing.image_shape}, {path.name} takes {image_shape}; "
            "it belongs to another model, remove it or train again"
        )
    return SourceModel(path.stem, function, image_shape, int(output_shape[1]), labels, preprocessing, training)


def source_of_keras(
    model: Any,
    name: str,
    *,
    labels: tuple[str, ...] | None = None,
    preprocessing: Preprocessing | None = None,
    training: dict[str, Any] | None = None,
) -> SourceModel:
    """A Keras model in memory as a source of conversions; the caller vouches that labels and preprocessing fit."""
    function, input_shape, output_shape = _function_of_keras(model)
    shape = _image_shape(Path(name), input_shape)
    return SourceModel(name, function, shape, int(output_shape[1]), labels, preprocessing, training or {})


_Loaded = tuple[Any, tuple[Any, ...], tuple[Any, ...]]
"""tf.function, input shape and output shape with None for the batch."""


def _loader(path: Path) -> Callable[[Path], _Loaded]:
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return _load_saved_model
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
        return _load_keras
    if suffix in (".h5", ".hdf5"):
        if start != _HDF5_MARK:
            raise ModelError(f"{path} is not an HDF5 file; copy it or save it again")
        return _load_keras
    raise ModelError(f"{path} is not a model that export reads; {_WANTED}")


def _load_keras(path: Path) -> _Loaded:
    _, keras = import_tensorflow()
    try:
        model = keras.models.load_model(path, compile=False)
    # Keras raises whatever zipfile, h5py, json or its deserializer raise on a damaged file.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"Keras cannot read {path}: {reason[:300]}; copy it or save it again") from error
    return _function_of_keras(model)


def _function_of_keras(model: Any) -> _Loaded:
    tf, _ = import_tensorflow()
    shape, output_shape = model.input_shape, model.output_shape
    # Several tensors have a list or a dict of shapes, which Keras may also give as a tuple of shapes.
    for kind, found in (("inputs", shape), ("outputs", output_shape)):
        if not isinstance(found, tuple) or any(isinstance(part, tuple) for part in found):
            raise ModelError(f"the model has {len(found)} {kind}, a classifier has one; give a classifier")
    # A fresh function, not the model's own: a reloaded model must be called once before it can be exported.
    function = tf.function(
        # A model may be made to return its one output in a list or a dict.
        lambda inputs: tf.nest.flatten(model(inputs, training=False))[0],
        input_signature=[tf.TensorSpec((None, *shape[1:]), tf.float32, name="input")],
    )
    return function, shape, output_shape


def _load_saved_model(path: Path) -> _Loaded:
    tf, _ = import_tensorflow()
    try:
        loaded: Any = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    # TensorFlow raises OSError, ValueError, KeyError, DecodeError, ... on a damaged or foreign folder.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"TensorFlow cannot read {path}: {reason[:300]}; export it again") from error
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs, a classifier has one of each; "
            "give a classifier"
        )
    ((input_name, input_spec),) = inputs.items()
    ((output_name, output_spec),) = outputs.items()
    shape = tuple(input_spec.shape)
    function = tf.function(
        lambda images: signature(**{input_name: images})[output_name],
        input_signature=[tf.TensorSpec((None, *shape[1:]), tf.float32, name="input")],
    )
    # The signature alone does not keep the variables alive.
    function.loaded = loaded  # type: ignore[attr-defined]
    return function, shape, tuple(output_spec.shape)


def _try_batch(path: Path, function: Any, input_shape: tuple[Any, ...], image_shape: tuple[int, int, int]) -> None:
    """Run one image more than the batch says: a graph may have its size built in, and then fails on others.

    Raises:
        ModelError: it fails.
    """
    count = (input_shape[0] or 1) + 1
    try:
        np.asarray(function(np.zeros((count, *image_shape), np.float32)))
    # TensorFlow raises InvalidArgumentError or another OpError when it runs, ValueError or TypeError when it traces.
    except Exception as error:
        if input_shape[0] is not None:
            raise ModelError(
                f"{path} takes batches of {input_shape[0]} only, export needs any number of images; "
                "save it again with None for the batch"
            ) from error
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{path} fails on a batch of {count} images: {reason[:300]}; save it again") from error


def _image_shape(path: Path, shape: tuple[Any, ...]) -> tuple[int, int, int]:
    sizes = shape[1:]
    if len(sizes) != 3 or not all(sizes) or sizes[2] not in (1, 3):
        raise ModelError(
            f"{path} takes inputs of shape {shape}, export needs (n, height, width, 1 or 3) of known size; "
            "give an image classifier"
        )
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def _read_training(path: Path) -> tuple[tuple[str, ...], Preprocessing, dict[str, Any]]:
    try:
        value = json.loads(path.read_bytes())
        labels = tuple(str(label) for label in value["labels"])
        preprocessing = Preprocessing.from_json(value["preprocessing"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EdgeCnnError) as error:
        raise ModelError(
            f"{path} cannot be used: {type(error).__name__}: {error}; train again, or remove it and give --input-range"
        ) from error
    kept = ("architecture", "config", "data", "seed", "test_accuracy", "versions")
    return labels, preprocessing, {key: value[key] for key in kept if key in value}
