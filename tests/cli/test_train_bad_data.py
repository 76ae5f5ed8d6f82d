"""Data that is wrong, at the command line: refused in one line with nothing written, or mended with a remark."""

import json

import numpy as np
import pytest
from PIL import Image

from edge_cnn.cli.main import main
from edge_cnn.host.data_source import load_data

FILES = ["history.json", "model.keras", "progress.html", "report.html", "training.json"]


def bars(count=60, side=10):
    """An upright or a lying bar in noise: uint8 (count, side, side, 1) and labels 0, 1, 0, 1, ..."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = rng.integers(0, 90, (count, side, side, 1))
    for image, label, place in zip(images, labels, rng.integers(2, side - 2, count), strict=True):
        image[:, place] += 150 * (label == 0)
        image[place] += 150 * (label == 1)
    return images.astype(np.uint8), labels


def words(data, out, *more):
    return ["train", "--data", str(data), "--arch", "mlp", "--out", str(out), "--augment", "none", *more]


def refused(arguments, capsys, status=2):
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert "Traceback" not in captured.err
    return last


def trained(arguments, capsys):
    """What a training says: its JSON document and stderr."""
    assert main([*arguments, "--epochs", "2", "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def found(document):
    return {remark["finding"]: remark["text"] for remark in document["remarks"]}


X, Y = bars()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X, "y": Y + 1, "labels": np.array(["a", "b"])}, "subtract 1, as the labels start at 1"),
        ({"x": X, "y": Y + 2}, "no sample of class 0, 1;"),
        ({"x": X, "y": Y * 2 - 1}, "label -1 is out of range"),
        ({"x": X, "y": Y + 0.5}, "y is float64 and holds 0.5"),
        ({"x": X, "y": np.stack([Y, Y], 1)}, "not one-hot"),
        ({"x": X, "y": Y[None]}, "y has shape (1, 60), but its rows are not one-hot"),
        ({"x": X, "y": Y[:, None, None]}, "not (n,)"),
        ({"x": X, "y": Y.astype("datetime64[D]")}, "give class indices as integers, or class names"),
        ({"x": X, "y": np.where(np.arange(60) == 5, 1, 0)}, "a single sample of class '1'"),
        ({"x": X, "y": Y * 0}, "one class only"),
        ({"x": X, "y": Y, "labels": np.array(["a", "b", "c"])}, "no sample of class c"),
        ({"x": X, "y": Y, "labels": np.array(["a", "a"])}, "class 'a' twice"),
        ({"x": X, "y": Y, "labels": np.array(["a", "b\n"])}, "class name 'b\\n' is empty, or holds"),
        ({"x": X[:4], "y": Y[:4]}, "no class has three samples"),
        ({"x": X * 0 + 3, "y": Y}, "images are all the same"),
        ({"x": X[np.arange(60) // 2], "y": Y}, "every training image is there under different labels"),
        ({"x": X.astype(int), "y": Y}, "x is int64; save pixels as uint8"),
        ({"x": X[..., 0] / 255, "y": Y}, "gray images as x[..., None]"),
        (
            {"x": np.where(np.arange(60) == 7, np.nan, 0.5)[:, None, None, None] * X, "y": Y},
            "NaN or infinity in sample 7",
        ),
        ({"x": X.transpose(0, 3, 1, 2).repeat(3, 1), "y": Y}, "x.transpose(0, 2, 3, 1)"),
    ],
)
def test_an_npz_that_nothing_can_be_learned_from_is_refused_and_nothing_is_written(tmp_path, capsys, arrays, said):
    np.savez(tmp_path / "d.npz", **arrays)
    assert said in refused(words(tmp_path / "d.npz", tmp_path / "o", "--quiet"), capsys)
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_labels_from_1_become_names_that_export_run_and_finetune_agree_on(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=X, y=Y + 1)
    document, err = trained(words(tmp_path / "d.npz", tmp_path / "o", "--optimizer", "adam"), capsys)
    assert "data: labels count from 1: the classes are called 1 to 2" in err
    record = json.loads((tmp_path / "o" / "training.json").read_text())
    assert record["labels"] == ["1", "2"]
    assert record["data"]["remarks"] == document["remarks"]
    bundle = tmp_path / "m.edgecnn"
    exporting = ["--target", "rpi5", "--scheme", "float32", "--golden", "4", "--out", str(bundle), "--json"]
    model = str(tmp_path / "o" / "model.keras")
    assert main(["export", model, "--calibration", str(tmp_path / "d.npz"), *exporting]) == 0
    assert json.loads(capsys.readouterr().out)["host_accuracy"] == record["test_accuracy"]
    # Samples of the second class alone: an index 2 would be out of range, and a 1 would be the other class.
    np.savez(tmp_path / "part.npz", x=X[Y == 1], y=np.full(30, 2))
    assert main(["run", str(bundle), str(tmp_path / "part.npz"), "--json"]) == 0
    *answers, total = map(json.loads, capsys.readouterr().out.splitlines())
    assert total["accuracy"] == np.mean([answer["labels"][0] == "2" for answer in answers])
    tuning = ["--data", str(tmp_path / "d.npz"), "--out", str(tmp_path / "t.edgecnn"), "--json"]
    assert main(["finetune", str(bundle), *tuning]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["classes"] == ["1", "2"]


@pytest.mark.parametrize("y", [np.eye(2)[Y], Y[:, None], Y.astype(np.float32), Y.astype(bool)])
def test_labels_in_other_forms_train_alike(tmp_path, capsys, y):
    losses = set()
    for name, labels in (("plain", Y), ("other", y)):
        np.savez(tmp_path / f"{name}.npz", x=X, y=labels)
        losses.add(trained(words(tmp_path / f"{name}.npz", tmp_path / name), capsys)[0]["val_loss"])
    assert len(losses) == 1


def make_folder(root, images=X, labels=Y, names=("lying bär", "upright")):
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        (root / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(root / names[label] / f"{row:03} é.png")
    return root


def test_a_folder_of_two_sizes_is_refused_by_name_and_image_size_mends_it(tmp_path, capsys):
    folder = make_folder(tmp_path / "my data")
    Image.fromarray(X[0, :7, :, 0]).save(folder / "upright" / "z.png")
    said = refused(words(folder, tmp_path / "o", "--quiet"), capsys)
    assert "lying bär/000 é.png is 10x10" in said
    assert "upright/z.png is 7x10" in said
    assert "--image-size 10x10" in said
    assert not (tmp_path / "o").exists()
    trained(words(folder, tmp_path / "o", "--image-size", "8x9"), capsys)
    preprocessing = json.loads((tmp_path / "o" / "training.json").read_text())["preprocessing"]
    assert [preprocessing[name] for name in ("height", "width", "channels")] == [8, 9, 1]


def test_a_folder_of_mixed_modes_is_read_as_rgb_with_a_remark(tmp_path, capsys):
    folder = make_folder(tmp_path / "d")
    Image.fromarray(X[0].repeat(3, axis=2) + np.arange(3, dtype=np.uint8)).save(folder / "upright" / "z.png")
    Image.fromarray(X[1, ..., 0]).convert("LA").save(folder / "upright" / "zz.png")
    document, err = trained(words(folder, tmp_path / "o"), capsys)
    assert "data: images of several modes (60 L, 1 RGB, 1 LA): all are read as RGB" in err
    assert sum(remark["finding"] == "reading" for remark in document["remarks"]) == 2
    assert json.loads((tmp_path / "o" / "training.json").read_text())["preprocessing"]["channels"] == 3


def test_some_corrupt_images_are_left_out_with_a_remark_and_many_are_an_error(tmp_path, capsys):
    folder = make_folder(tmp_path / "d")
    for number in range(3):
        (folder / "upright" / f"bad{number}.png").write_bytes(b"no image")
    document, err = trained(words(folder, tmp_path / "o"), capsys)
    assert err.count("skipped: ") == 3
    assert "3 images could not be read and were left out: bad0.png, bad1.png, bad2.png" in found(document)["unreadable"]
    for number in range(3, 20):
        (folder / "upright" / f"bad{number}.png").write_bytes(b"no image")
    said = refused(words(folder, tmp_path / "p", "--quiet"), capsys)
    assert "20 of 80 images cannot be read (bad0.png" in said
    assert not (tmp_path / "p").exists()


def test_photos_that_memory_cannot_hold_are_refused_before_they_are_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("edge_cnn.host.data_source.physical_memory", lambda: 10_000)
    said = refused(words(make_folder(tmp_path / "d"), tmp_path / "o", "--quiet"), capsys)
    assert "60 images of 10x10x1 need" in said
    assert "give a smaller --image-size" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--image-size", "10"], "'10' is not HEIGHTxWIDTH"),
        (["--image-size", "10x10x2"], "1 (gray) or 3 (RGB)"),
        (["--image-size", "0x10"], "between 1 and 4096"),
        (["--image-size", "-1x10"], "is not HEIGHTxWIDTH"),
        (["--normalize", "always"], "unknown normalization 'always'; known: auto, none"),
        (["--arch", "mlp", "--class-weights", "c=2"], "no class is called 'c'"),
        (["--arch", "mlp", "--freeze", ""], "it is empty; give a name"),
        (["--data", ""], "Invalid value for '--data': it is empty; give a name"),
        (["--out", ""], "Invalid value for '--out': it is empty; give a name"),
        (["--out", "d"], "it is in the folder of the data"),
        (["--out", "d/below"], "it is in the folder of the data"),
        (["--out", "link/below"], "it is in the folder of the data"),
    ],
)
def test_bad_usage_about_data_is_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "d")
    (tmp_path / "link").symlink_to(tmp_path / "d")
    before = sorted(tmp_path.rglob("*"))
    assert said in refused([*words("d", "o", "--quiet"), *arguments], capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_floats_are_not_resized(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=X / 255, y=Y)
    said = refused(words(tmp_path / "d.npz", tmp_path / "o", "--quiet", "--image-size", "8x8"), capsys)
    assert "x holds floats, which are not resized" in said


@pytest.mark.slow
def test_pixels_saved_as_floats_are_normalized_inside_the_model_and_stay_so_after_export(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=X.astype(np.float32), y=Y)
    document, err = trained(words(tmp_path / "d.npz", tmp_path / "o"), capsys)
    assert "data: float inputs are 0..239, like pixels: a layer in front of the network divides by 255" in err
    exporting = ["--target", "rpi5", "--golden", "4", "--out", str(tmp_path / "m.edgecnn"), "--json"]
    exporting += ["--scheme", "float32", "--scheme", "int8"]
    model = str(tmp_path / "o" / "model.keras")
    assert main(["export", model, "--calibration", str(tmp_path / "d.npz"), *exporting]) == 0
    assert json.loads(capsys.readouterr().out)["host_accuracy"] == document["test_accuracy"]
    # Pixels and the same values in floats are one image to the device.
    np.savez(tmp_path / "pixels.npz", x=X, y=Y)
    scores = []
    for name in ("d", "pixels"):
        assert main(["run", str(tmp_path / "m.edgecnn"), str(tmp_path / f"{name}.npz"), "--json"]) == 0
        scores.append([json.loads(line).get("scores") for line in capsys.readouterr().out.splitlines()])
    assert scores[0] == scores[1]


def test_remarks_stand_in_the_report_with_the_images_that_show_them(tmp_path, capsys):
    images, labels = X.copy(), Y.copy()
    images[[10, 20, 30]] = images[[11, 21, 31]]
    images[[40, 42]] = 5
    np.savez(tmp_path / "d.npz", x=images, y=labels, labels=np.array(["<a>", "b"]))
    document, err = trained(words(tmp_path / "d.npz", tmp_path / "o", "--batch-size", "500"), capsys)
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == FILES
    assert {"contradictions", "batch size"} <= set(found(document))
    section = page[page.index("Remarks about the data") :]
    for text in found(document).values():
        assert f"data: {text}" in err
        assert text.split("<")[0].replace("'", "&#x27;")[:40] in section
    assert "<a>" not in page
    assert section.count("<img") >= 4


def test_data_without_fault_gets_no_remark_and_no_section(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    document, err = trained(words(tmp_path / "d.npz", tmp_path / "o", "--batch-size", "16"), capsys)
    assert document["remarks"] == []
    assert "data: " not in err
    assert "Remarks about the data" not in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("option", "value"), [("--augment", "photos"), ("--image-size", "3x3")])
def test_what_only_images_have_is_refused_for_rows_of_numbers(tmp_path, capsys, option, value):
    assert main(["train", "--data", "spiral", option, value, "--out", str(tmp_path / "o")]) == 2
    said = capsys.readouterr().err
    assert said == f"error: {option} is for images, and the samples are rows of numbers; leave it out\n"


def test_a_folder_of_parts_is_not_taken_for_a_folder_of_classes(tmp_path, capsys):
    for part in ("train", "test"):
        make_folder(tmp_path / "d" / part)
    said = refused(words(tmp_path / "d", tmp_path / "o", "--quiet"), capsys)
    assert f"holds parts of data (test, train), not classes; give one, as {tmp_path / 'd' / 'train'}" in said
    # Classes may be called so.
    assert load_data(str(make_folder(tmp_path / "e", names=("test", "train")))).train.class_names == ("test", "train")


def test_labels_as_python_objects_are_told_to_be_given_a_type(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=X, y=Y.astype(str).astype(object))
    assert "give it a type first, as y.astype(str)" in refused(words(tmp_path / "d.npz", tmp_path / "o"), capsys)


def test_rows_of_numbers_are_refused_by_image_networks_before_anything_begins(tmp_path, capsys):
    assert main(["train", "--data", "spiral", "--arch", "lenet", "--out", str(tmp_path / "o")]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said == "error: samples are rows of numbers, no images, and lenet looks at images; give --arch mlp"
