from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.sources.load import load_classifier, load_source_model
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
    with pytest.raises(ModelError, match=r"no model at .*gone\.keras; give a \.keras, \.h5, \.onnx or \.tflite file"):
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


@pytest.mark.parametrize("name", ["model.pt", "photo.png", "model"])
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
    with pytest.raises(ModelError, match=r"takes inputs of shape \(n, 7\), a bundle is for"):
        load_classifier(tmp_path / "flat.keras")
    image = keras.Input((8, 8, 1))
    keras.Model(image, keras.layers.Conv2D(3, 3)(image)).save(tmp_path / "map.keras")
    with pytest.raises(ModelError, match=r"output shape \(n, 6, 6, 3\), a classifier has"):
        load_classifier(tmp_path / "map.keras")
    keras.Model([image, flat], keras.layers.Dense(3)(flat)).save(tmp_path / "two.keras")
    with pytest.raises(ModelError, match="2 inputs, export needs one"):
        load_source_model(tmp_path / "two.keras")


@pytest.mark.parametrize("form", ["list", "dict"])
def test_a_model_with_two_outputs_is_refused(form: str, tmp_path: Path) -> None:
    import keras

    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(image)
    ends = {"a": keras.layers.Dense(3)(flat), "b": keras.layers.Dense(4)(flat)}
    keras.Model(image, ends if form == "dict" else list(ends.values())).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="the model has 2 outputs, export needs one; give a model with one"):
        load_source_model(tmp_path / "m.keras")


def test_a_model_with_inputs_in_a_dict_is_refused(tmp_path: Path) -> None:
    import keras

    ends = {"a": keras.Input((8, 8, 1), name="a"), "b": keras.Input((8, 8, 1), name="b")}
    hidden = keras.layers.Flatten()(keras.layers.Add()(list(ends.values())))
    model = keras.Model(ends, keras.layers.Dense(3)(hidden))
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="the model has 2 inputs, export needs one; give a model with one"):
        load_source_model(tmp_path / "m.keras")


def test_one_output_in_a_dict_is_an_output_like_any(tmp_path: Path) -> None:
    import keras

    image = keras.Input((8, 8, 1))
    plain = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    keras.Model(image, {"scores": plain.output}).save(tmp_path / "m.keras")
    inputs = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    source = load_source_model(tmp_path / "m.keras")
    assert source.classes == 3
    assert np.abs(source.predict(inputs) - plain.predict(inputs, verbose=0)).max() < 1e-6


def saved_for_batches_of(count: int, folder: Path, *, built_in: bool) -> None:
    """A SavedModel whose signature has a batch of `count`; `built_in` has it in the graph as well."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((count, 4, 4, 1), tf.float32)])
    def serve(images: Any) -> Any:
        flat = tf.reshape(images, (count if built_in else -1, 16))
        return {"scores": flat @ tf.ones((16, 3)) + tf.range(3, dtype=tf.float32)}

    module.serve = serve  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


@pytest.mark.parametrize("count", [1, 2])
def test_a_saved_model_with_a_fixed_batch_is_refused_in_one_line(count: int, tmp_path: Path) -> None:
    saved_for_batches_of(count, tmp_path / "m", built_in=True)
    with pytest.raises(ModelError, match=rf"takes batches of {count} only, .*; save it again with None") as caught:
        load_source_model(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_a_saved_model_made_for_one_image_that_takes_more_is_used(tmp_path: Path) -> None:
    saved_for_batches_of(1, tmp_path / "m", built_in=False)
    images = np.random.default_rng(0).random((300, 4, 4, 1), np.float32)
    expected = images.sum(axis=(1, 2, 3))[:, None] + np.arange(3)
    assert np.allclose(load_source_model(tmp_path / "m").predict(images), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.onnx", "m.tflite"])
def test_an_empty_file_and_a_folder_are_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"is empty; copy it or save it again$"):
        load_source_model(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(ModelError, match=r"is a folder without saved_model\.pb; give a \.keras"):
        load_source_model(tmp_path / name)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.onnx", "m.tflite"])
def test_a_file_of_random_bytes_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ModelError) as caught:
        load_source_model(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["WriteFile", "SaveV2"])
def test_a_saved_model_that_writes_files_is_not_loaded(kind: str, tmp_path: Path) -> None:
    import tensorflow as tf

    target = str(tmp_path / "written")
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 1), tf.float32)])
    def serve(images: Any) -> Any:
        if kind == "WriteFile":
            tf.io.write_file(target, "x")
        else:
            tf.raw_ops.SaveV2(prefix=target, tensor_names=["a"], shape_and_slices=[""], tensors=[images])
        return {"scores": tf.reduce_mean(images, [1, 2]) @ tf.ones((1, 3))}

    module.serve = serve  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serving_default": serve})
    with pytest.raises(ModelError, match=rf"has the operator {kind} \(.*\), which does more than compute"):
        load_source_model(tmp_path / "m")
    assert list(tmp_path.glob("written*")) == []
