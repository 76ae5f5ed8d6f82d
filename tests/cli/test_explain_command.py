from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.explanation.cause import NOISE_FLOOR
from edge_cnn.cli.main import main
from edge_cnn.core.bundle import Bundle

pytestmark = pytest.mark.slow  # loads TensorFlow and a network that is trained once


@pytest.fixture(scope="module")
def files(bundle: Bundle, digits_split: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits.npz, model.tflite (int8), float.tflite, model.onnx (QDQ) and small.npz of another shape."""
    folder = tmp_path_factory.mktemp("files")
    test = digits_split[1]
    np.savez(folder / "digits.npz", x=test.images[:600], y=test.labels[:600])
    np.savez(folder / "color.npz", x=np.zeros((40, 28, 28), np.float32), y=np.arange(40) % 4)
    for entry in bundle.manifest.artifacts:
        name = {"int8": "model", "float32": "float"}[entry.scheme]
        (folder / f"{name}.{entry.format}").write_bytes(bundle.artifact(entry.name).data)
    return folder


def explain(model: Path, reference: Path, files: Path, *more: str, data: str = "digits.npz") -> int:
    return main(["explain", str(model), "--reference", str(reference), "--data", str(files / data), *more])


def test_a_healthy_bundle_is_explained_in_the_fields_that_scripts_read(
    bundle_path: Path, keras_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(bundle_path, keras_path, files, "--json", "--quiet", "--samples", "100") == 0
    document = json.loads(capsys.readouterr().out)
    for layer in document["layers"]:
        assert {"name", "op", "sqnr_db", "isolated_drop", "cause"} <= set(layer)
        assert layer["cause"] == NOISE_FLOOR
    assert {layer["op"] for layer in document["layers"]} >= {"INPUT", "CONV_2D", "FULLY_CONNECTED"}
    assert document["fix"]["exclude"] == []
    assert document["fix"]["drop_before"] == document["fix"]["drop_after"]
    assert abs(document["fix"]["drop_before"]) <= 0.01
    assert document["agreement"] > 0.98


@pytest.mark.parametrize("model", ["model.tflite", "model.onnx"])
@pytest.mark.parametrize("reference", ["float.tflite", "float.onnx"])
def test_files_of_both_formats_are_explained_by_references_of_both(
    model: str, reference: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    more = ("--no-fix", "--samples", "60", "--report", str(page))
    assert explain(files / model, files / reference, files, *more) == 0
    out = capsys.readouterr().out
    assert "nothing is wrong" in out
    assert "CONV_2D" in out
    html = page.read_text()
    assert "<!doctype html>" in html
    assert "noise floor" in html
    assert not re.search(r"(src|href)=\"http", html)


def test_a_page_with_a_lone_surrogate_is_written(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from converters.explanation import report_page

    monkeypatch.setattr(report_page, "explanation_html", lambda *_: "layer \ud800")
    page = tmp_path / "page.html"
    more = ("--no-fix", "--samples", "60", "--report", str(page))
    assert explain(files / "model.tflite", files / "float.tflite", files, *more) == 0
    assert page.read_bytes() == b"layer \\ud800"
    err = capsys.readouterr().err
    assert re.findall(r"explain (\d/\d)", err) == ["1/2", "2/2"]


def test_names_are_whole_in_the_table_and_steps_of_unknown_number_are_counted_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from types import SimpleNamespace as Namespace

    from edge_cnn.cli.console import Console
    from edge_cnn.cli.explain_command import _row

    name = "network/" + "block/" * 20 + "conv"
    damage = Namespace(flips=0.0, drop=0.0)
    facts: Any = Namespace(short_name=name, op="CONV_2D", sqnr_db=30.0, alone=Namespace(sqnr_db=40.0), damage=damage)
    assert _row(Namespace(facts=facts, cause="none"))[0] == name  # type: ignore[arg-type]  # what a row is made of
    with Console(json=False, quiet=False, seed=0).steps("explain") as draw:
        for done in range(5):
            draw(done, None, "trying")
    assert re.findall(r"explain (.*): trying", capsys.readouterr().err) == list("12345")


def test_a_phone_scrolls_the_table_and_breaks_no_word_in_letters(files: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    more = ("--no-fix", "--quiet", "--samples", "60", "--report", str(page))
    assert explain(files / "model.tflite", files / "float.tflite", files, *more) == 0
    html = page.read_text()
    assert re.search(r"\.wide { overflow-x: auto; overflow-wrap: normal; }", html)
    assert re.search(r"td\.name { min-width: 11rem;", html)
    assert html.count('<td class="kind">') == html.count('<td class="name" title=')


def test_what_the_file_states_goes_before_a_trial_unless_a_usual_range_is_clearly_better(files: Path) -> None:
    from converters.explanation.explain import reference_preprocessing
    from converters.explanation.models import Reference, read_quantized, read_reference
    from edge_cnn.host.data_source import load_data

    stated = read_reference(files / "float.tflite")
    quantized = read_quantized(files / "model.tflite", None)
    bare = Reference(stated.name, stated.graph, None, None)
    samples = load_data(str(files / "digits.npz"), bare.image_shape, None, lambda *_: None).test
    found, origin = reference_preprocessing(bare, replace(quantized, preprocessing=None), None, samples)
    assert found.describe().endswith("0..255 -> 0..1")
    assert origin.startswith("trial")
    assert reference_preprocessing(bare, quantized, None, samples) == (
        quantized.preprocessing,
        "what is stated with the quantized file",
    )


def test_what_cannot_be_explained_is_said_in_one_line(
    files: Path, keras_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resnet = tmp_path / "other.keras"
    import keras

    entry = keras.Input((28, 28, 1))
    layers = keras.layers
    hidden = layers.Flatten()(layers.Conv2D(3, 5)(entry))
    keras.Model(entry, layers.Softmax()(layers.Dense(10)(hidden))).save(resnet)
    (tmp_path / "copy.tflite").write_bytes((files / "model.tflite").read_bytes())
    cases: list[tuple[Path, Path, str, str]] = [
        (files / "model.tflite", resnet, "digits.npz", "do not correspond: the reference has"),
        (files / "model.tflite", tmp_path / "copy.tflite", "digits.npz", "already quantized"),
        (files / "model.tflite", files / "model.onnx", "digits.npz", "quantized"),
        (files / "float.tflite", keras_path, "digits.npz", "is not quantized"),
        (files / "model.tflite", tmp_path / "none.keras", "digits.npz", "no model at"),
        (tmp_path / "none.tflite", keras_path, "digits.npz", "no model at"),
        (files / "model.tflite", keras_path, "color.npz", "images of shape (28, 28)"),
        (files / "model.tflite", files / "model.tflite", "digits.npz", "are the same file"),
    ]
    for model, reference, data, words in cases:
        assert explain(model, reference, files, "--quiet", data=data) == 2, words
        captured = capsys.readouterr()
        assert captured.out == ""
        errors = captured.err.strip().splitlines()
        assert len(errors) == 1, errors
        assert errors[0].startswith("error: ")
        assert words in errors[0]
