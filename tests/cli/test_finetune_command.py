import json
import os
import re

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.bundle import read_bundle
from edge_cnn.device.opening import open_classifier


@pytest.fixture
def inverted(tmp_path, digits_split):
    test = digits_split[1]
    np.savez(tmp_path / "inverted.npz", x=255 - test.images[:200], y=test.labels[:200])
    return tmp_path / "inverted.npz"


@pytest.mark.parametrize("suffix", [".edgecnn", ".tflite"])
def test_the_tuned_file_has_the_format_of_its_name_and_the_promised_accuracy(
    few_golden_path, inverted, tmp_path, capsys, suffix
):
    out = tmp_path / f"tuned{suffix}"
    assert main(["finetune", str(few_golden_path), "--data", str(inverted), "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["saved"] is True
    assert document["after"]["holdout_accuracy"] > document["before"]["holdout_accuracy"]
    assert set(document["certificate"]) == {"loss_gap_bound", "max_logit_error"}
    assert document["seed"] == 0
    assert document["ended"] in {"at the optimum", "held-out loss stopped falling"}
    rows = document["order"]["holdout"]
    data = np.load(inverted)
    answers = open_classifier(out).predict(data["x"][rows]).indices
    assert np.mean(answers == data["y"][rows]) == document["after"]["holdout_accuracy"]


def test_a_tuned_bundle_says_where_it_comes_from(few_golden_path, inverted, tmp_path):
    out = tmp_path / "tuned.edgecnn"
    assert main(["finetune", str(few_golden_path), "--data", str(inverted), "--out", str(out), "--seed", "7"]) == 0
    told = read_bundle(out).manifest.provenance["finetuned"]
    assert told["seed"] == 7
    assert told["samples"] == 200


def test_a_fall_of_the_held_out_accuracy_writes_the_report_alone_and_keeps_the_old_file(
    few_golden_path, digits_split, tmp_path, capsys
):
    test, rng = digits_split[1], np.random.default_rng(0)
    # Every other label is wrong; with next to no L2 the head learns them by heart, and unlearns the right ones.
    labels = np.where(np.arange(200) % 2, test.labels[:200], rng.integers(0, 10, 200))
    np.savez(tmp_path / "few.npz", x=test.images[:200], y=labels)
    out, report = tmp_path / "tuned.edgecnn", tmp_path / "report.html"
    out.write_bytes(b"the old file")
    spoil = ["--l2", "1e-7", "--epochs", "5000", "--patience", "5000", "--json", "--report", str(report)]
    assert main(["finetune", str(few_golden_path), "--data", str(tmp_path / "few.npz"), "--out", str(out), *spoil]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["saved"] is False
    assert "error: held-out accuracy would fall" in captured.err
    assert out.read_bytes() == b"the old file"
    assert "the tuned file was <b>not saved</b>" in report.read_text()
    assert f"report: {report}" in captured.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["few.npz", "report.html", "tuned.edgecnn"]


def test_the_report_tells_what_json_tells_and_shows_the_files_whose_answer_changed(
    few_golden_path, digits_split, tmp_path, capsys
):
    from PIL import Image

    test, data = digits_split[1], tmp_path / "data"
    for i in range(60):
        # A name of bytes that are no characters, as a memory card may hold.
        name = os.fsdecode(f"{i}_".encode() + b"\xff.png")
        (data / str(test.labels[i])).mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - test.images[i, :, :, 0]).save(data / str(test.labels[i]) / name)
    out, report = tmp_path / "tuned.edgecnn", tmp_path / "report.html"
    report.write_text("an earlier page")
    words = [
        "finetune",
        str(few_golden_path),
        "--data",
        str(data),
        "--out",
        str(out),
        "--report",
        str(report),
        "--json",
    ]
    assert main(words) == 0
    document, page = json.loads(capsys.readouterr().out), report.read_text()
    for part in ("before", "after"):
        assert f"<b>{100 * document[part]['holdout_accuracy']:.1f}\u202f% (" in page
    assert f"<b>saved as {out}</b>" in page
    assert document["certificate"]["loss_gap_bound"] == pytest.approx(
        float(_between(page, "</code> is ", " nats")), rel=0.01
    )
    assert read_bundle(out).manifest.provenance["finetuned"]["samples_sha256"] in page
    assert page.count("<img alt") > 3
    assert "_\\udcff.png</span>" in page


def _between(text, start, end):
    return text.split(start, 1)[1].split(end, 1)[0]


def test_text_output_is_a_table_of_before_and_after(few_golden_path, inverted, tmp_path, capsys):
    out = tmp_path / "tuned.edgecnn"
    assert main(["finetune", str(few_golden_path), "--data", str(inverted), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "held-out new samples" in captured.out
    assert f"saved {out}" in captured.out
    assert re.search(r"\d+ steps \(ended: (at the optimum|held-out loss stopped falling)\), loss", captured.out)
    assert "left out of the new bundle" in captured.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--out": "tuned.onnx.gz"}, "give a name ending with"),
        ({"--out": "none/tuned.edgecnn"}, "there is no folder"),
        ({"--data": "none"}, "no data at none"),
        ({"--report": "page.htm"}, "--report page.htm: give a name ending with .html"),
        ({"--report": "none/page.html"}, "--report none/page.html: there is no folder"),
        ({"--report": "page.html", "--data": "page.html"}, "--data and --report are the same file"),
        ({"--holdout": "1.5"}, "between 0 and 1"),
        ({"--learning-rate": "-1"}, "learning rate must be positive"),
        (
            {"--learning-rate": "0.1", "--optimizer": "quasi-newton"},
            "finds its steps itself, got a learning rate of 0.1;",
        ),
        ({"--replay": "none"}, "no data at none"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(
    few_golden_path, inverted, tmp_path, capsys, monkeypatch, change, said
):
    monkeypatch.chdir(tmp_path)
    options = {"--data": str(inverted), "--out": "tuned.edgecnn"} | change
    words = [word for pair in options.items() for word in pair]
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["finetune", str(few_golden_path), *words, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_label_that_the_model_does_not_know_is_named(few_golden_path, digits_split, tmp_path, capsys):
    test = digits_split[1]
    names = np.array(["zero"] * 20 + ["one"] * 20)
    np.savez(tmp_path / "d.npz", x=test.images[:40], y=names)
    out = tmp_path / "tuned.edgecnn"
    assert main(["finetune", str(few_golden_path), "--data", str(tmp_path / "d.npz"), "--out", str(out)]) == 2
    assert "'one' is not one of the model's classes" in capsys.readouterr().err
    assert not out.exists()
