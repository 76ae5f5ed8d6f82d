import io
import json

import numpy as np
import pytest
from PIL import Image

from edge_cnn.cli.main import main
from edge_cnn.device.opening import open_classifier


@pytest.fixture
def folder(tmp_path, digits_split):
    """Six test digits as PNG files in sub-folders named by class."""
    test = digits_split[1]
    for i in range(6):
        place = tmp_path / "images" / str(test.labels[i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[i, :, :, 0]).save(place / f"{i}.png")
    return tmp_path / "images"


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_npz_gives_a_line_a_sample_and_the_accuracy_last(bundle_path, digits_split, tmp_path, capsys):
    test = digits_split[1].select(np.arange(40))
    np.savez(tmp_path / "d.npz", x=test.images, y=test.labels)
    assert main(["run", str(bundle_path), str(tmp_path / "d.npz"), "--json"]) == 0
    *rows, last = lines(capsys)
    expected = open_classifier(bundle_path).predict(test.images)
    assert [row["labels"][0] for row in rows] == expected.labels
    assert all(row["scores"] == sorted(row["scores"], reverse=True) and len(row["scores"]) == 3 for row in rows)
    assert last == {"accuracy": float(np.mean(expected.indices == test.labels)), "count": 40}


def test_an_npz_without_labels_has_no_accuracy(bundle_path, digits_split, tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=digits_split[1].images[:3])
    assert main(["run", str(bundle_path), str(tmp_path / "d.npz"), "--json", "--top", "1"]) == 0
    rows = lines(capsys)
    assert len(rows) == 3
    assert all(len(row["labels"]) == 1 for row in rows)


def test_a_folder_by_class_is_scored(bundle_path, folder, capsys):
    assert main(["run", str(bundle_path), str(folder), "--json"]) == 0
    *rows, last = lines(capsys)
    assert len(rows) == 6
    assert last["count"] == 6


def test_an_unreadable_image_among_good_ones_is_named_skipped_and_counted(bundle_path, folder, capsys):
    (folder / "bad.png").write_bytes(b"not an image")
    assert main(["run", str(bundle_path), str(folder), "--json"]) == 0
    captured = capsys.readouterr()
    assert "bad.png" in captured.err
    assert "skipped 1 unreadable images, predicted 6" in captured.err


def test_a_stream_of_names_is_answered_line_by_line(bundle_path, folder, capsys, monkeypatch):
    names = [str(p) for p in sorted(folder.rglob("*.png"))]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*names, "/none.png", ""])))
    assert main(["run", str(bundle_path), "-", "--json"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["input"] for line in captured.out.splitlines()] == names
    assert "/none.png" in captured.err


def test_text_output_says_label_and_percent(bundle_path, folder, capsys):
    image = next(folder.rglob("*.png"))
    assert main(["run", str(bundle_path), str(image)]) == 0
    captured = capsys.readouterr()
    assert " %" in captured.out
    assert "pixels 0..255 -> 0..1 (from the manifest)" in captured.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["run", "none.tflite", "x.png"], 2, "no model at none.tflite"),
        (["run", "BUNDLE"], 2, "Missing argument"),
        (["run", "BUNDLE", "none.png"], 2, "no image at none.png"),
        (["run", "BUNDLE", "x.npz"], 2, "cannot read x.npz"),
        (["run", "BUNDLE", "EMPTY"], 2, "holds no images"),
        (["run", "BUNDLE", "x.png", "--top", "0"], 2, "Invalid value"),
        (["run", "BUNDLE", "x.png", "--runtime", "tensorrt"], 2, "unknown runtime 'tensorrt'; known: litert"),
        (["run", "BUNDLE", "x.png", "--input-range", "5"], 2, "not two numbers LO,HI"),
        (["run", "BUNDLE", "x.png", "--input-range", "1,0"], 2, "must be the larger one"),
    ],
)
def test_bad_input_is_one_clear_line(bundle_path, tmp_path, capsys, monkeypatch, arguments, status, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    words = [{"BUNDLE": str(bundle_path), "EMPTY": str(tmp_path / "empty")}.get(word, word) for word in arguments]
    assert main([*words, "--quiet"]) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert captured.out == ""


def test_a_runtime_that_is_not_installed_exits_with_3(bundle_path, capsys):
    assert main(["run", str(bundle_path), "x.png", "--runtime", "tflite-runtime"]) == 3
    assert "pip install 'edge-cnn[tflite]'" in capsys.readouterr().err


def test_all_images_unreadable_is_an_error(bundle_path, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"no")
    assert main(["run", str(bundle_path), str(tmp_path)]) == 2
    assert "none of the 1 images" in capsys.readouterr().err
