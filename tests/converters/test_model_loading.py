from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.model_loading import load_source_model
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing


@pytest.mark.slow  # saves the model in all three formats
@pytest.mark.parametrize("name", ["tiny.keras", "tiny.h5", "tiny_saved"])
def test_every_format_computes_what_keras_computes(
    name: str, tiny_folder: Path, tiny_keras: Any, tiny_pixels: np.ndarray
) -> None:
    inputs = tiny_pixels.astype(np.float32) / 255
    source = load_source_model(tiny_folder / name)
    assert (source.image_shape, source.classes) == ((12, 10, 3), 4)
    assert np.abs(source.predict(inputs) - tiny_keras.predict(inputs, verbose=0)).max() < 1e-6


def test_training_json_brings_labels_preprocessing_and_history(tiny_folder: Path) -> None:
    source = load_source_model(tiny_folder / "tiny.keras")
    assert source.labels == ("ant", "bee", "cat", "dog")
    assert source.preprocessing == Preprocessing(12, 10, 3, (127.5,), (127.5,))
    assert source.training == {"architecture": "tiny", "seed": 7}


def test_a_model_without_training_json_has_neither(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_folder / "tiny.keras", tmp_path)
    source = load_source_model(tmp_path / "tiny.keras")
    assert (source.labels, source.preprocessing, source.training) == (None, None, {})


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model at .*gone\.keras; give a \.keras or \.h5 file or a SavedModel"):
        load_source_model(tmp_path / "gone.keras")


@pytest.mark.parametrize("name", ["tiny.keras", "tiny.h5"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_model_is_one_line(name: str, share: float, tiny_folder: Path, tmp_path: Path) -> None:
    whole = (tiny_folder / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ModelError, match="copy it or") as caught:
        load_source_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_damage_inside_a_whole_zip_is_found(tiny_folder: Path, tmp_path: Path) -> None:
    data = bytearray((tiny_folder / "tiny.keras").read_bytes())
    start = data.index(b"config.json") + 40
    data[start : start + 200] = bytes(200)
    (tmp_path / "m.keras").write_bytes(data)
    with pytest.raises(ModelError, match=r"Keras cannot read .*m\.keras"):
        load_source_model(tmp_path / "m.keras")


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "photo.png", "model"])
def test_files_of_other_kinds_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x08\x07something")
    with pytest.raises(ModelError, match=r"is not a model that export reads; give a \.keras"):
        load_source_model(tmp_path / name)


def test_a_folder_that_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"folder without saved_model\.pb"):
        load_source_model(tmp_path)


def test_a_damaged_saved_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(ModelError, match="TensorFlow cannot read"):
        load_source_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a", "b"]}, "names 2 classes, tiny.keras has 4"),
        ({"preprocessing": {"height": 9, "width": 9, "channels": 3, "mean": [0], "std": [1]}}, r"shape \(9, 9, 3\)"),
        ({"preprocessing": {"height": 12}}, "cannot be used: KeyError"),
        (
            {"preprocessing": {"height": 12, "width": 10, "channels": 3, "mean": [0], "std": [0]}},
            "std must be positive",
        ),
    ],
)
def test_a_training_json_that_does_not_fit_is_refused(
    change: dict[str, Any], message: str, tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_folder / "tiny.keras", tmp_path)
    training = json.loads((tiny_folder / "training.json").read_text()) | change
    (tmp_path / "training.json").write_text(json.dumps(training))
    with pytest.raises(ModelError, match=message):
        load_source_model(tmp_path / "tiny.keras")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"labels": 3}'])
def test_a_damaged_training_json_is_refused(text: str, tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_folder / "tiny.keras", tmp_path)
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(ModelError, match=r"training\.json cannot be used: .*train again, or remove it"):
        load_source_model(tmp_path / "tiny.keras")


def test_a_model_that_takes_no_images_or_gives_no_scores_is_refused(tmp_path: Path) -> None:
    import keras

    flat = keras.Input((7,))
    keras.Model(flat, keras.layers.Dense(3)(flat)).save(tmp_path / "flat.keras")
    with pytest.raises(ModelError, match=r"takes inputs of shape \(None, 7\)"):
        load_source_model(tmp_path / "flat.keras")
    image = keras.Input((8, 8, 1))
    keras.Model(image, keras.layers.Conv2D(3, 3)(image)).save(tmp_path / "map.keras")
    with pytest.raises(ModelError, match=r"output shape \(None, 6, 6, 3\), a classifier has"):
        load_source_model(tmp_path / "map.keras")
    keras.Model([image, flat], keras.layers.Dense(3)(flat)).save(tmp_path / "two.keras")
    with pytest.raises(ModelError, match="2 inputs, a classifier has one"):
        load_source_model(tmp_path / "two.keras")
