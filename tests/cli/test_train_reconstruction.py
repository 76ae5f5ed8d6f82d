import contextlib
import io
import json

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.sources.load import load_classifier, load_source_model
from edge_cnn.cli.main import main
from edge_cnn.core.errors import ModelError
from edge_cnn.core.npz import pack_npz


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Data of stripes in two directions, the folder of an autoencoder trained on them, and the document printed."""
    folder = tmp_path_factory.mktemp("reconstruction")
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = np.zeros((200, 12, 12, 1), np.uint8)
    for image, label, place in zip(images, labels, rng.integers(0, 12, 200), strict=True):
        (image if label else image.swapaxes(0, 1))[place] = 220
    data = folder / "data.npz"
    data.write_bytes(pack_npz({"x": images, "y": labels, "labels": np.array(["upright", "lying"])}))
    out = folder / "o"
    words = ["train", "--data", str(data), "--arch", "autoencoder", "--out", str(out), "--augment", "none", "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as told:
        assert main([*words, "--epochs", "25", "--batch-size", "20", "--max-params", "200k"]) == 0
    assert "nan" not in told.getvalue()
    return data, out, json.loads(printed.getvalue())


def test_an_autoencoder_learns_more_than_the_mean_of_its_inputs(trained):
    _, out, document = trained
    assert document["test_loss"] < 0.8 * document["mean_loss"]
    assert "test_accuracy" not in document
    assert document["budget"]["parameters"] == document["parameters"]
    history = json.loads((out / "history.json").read_text())
    assert all(record["accuracy"] is None and record["val_accuracy"] is None for record in history)
    assert history[-1]["val_loss"] < history[0]["val_loss"]


def test_its_report_shows_inputs_and_what_came_back(trained):
    page = (trained[1] / "report.html").read_text()
    for heading in (
        "Learning",
        "Nothing to worry about",
        "What it gives back worst",
        "What it costs a device",
        "What came back",
    ):
        assert f"<h2>{heading}</h2>" in page
    pairs = page.partition("<h2>What came back</h2>")[2].partition("<h2>")[0]
    assert pairs.count("<img") == 12
    assert ">nan<" not in page


def test_its_file_converts_but_becomes_no_bundle(trained):
    data, out, _ = trained
    source = load_source_model(out / "model.keras")
    assert source.labels is None
    assert source.preprocessing is not None
    assert source.preprocessing.image_shape == (12, 12, 1)
    with np.load(data) as file:
        inputs = (file["x"] / 255).astype(np.float32)
    assert convert_to_tflite_int8(source, Calibration(inputs[:64]))[4:8] == b"TFL3"
    with pytest.raises(ModelError, match="gives its input back and has no classes, and a bundle is for classifiers"):
        load_classifier(out / "model.keras")
