import json
import re
import signal
import sys

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.preprocessing import Preprocessing, normalize
from edge_cnn.host.data_source import load_data

FILES = ["history.json", "model.keras", "progress.html", "report.html", "training.json"]


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """120 samples: an upright or a lying bar."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 90, (120, 10, 10, 1))
    for image, label, place in zip(images, labels, rng.integers(2, 8, 120), strict=True):
        image[:, place] += 150 * (label == 0)
        image[place] += 150 * (label == 1)
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    np.savez(path, x=images.astype(np.uint8), y=labels, labels=np.array(["upright <1>", "lying"]))
    return path


@pytest.fixture(scope="module")
def run(npz, tmp_path_factory):
    """Folder of a training by the command, what it printed, and its status."""
    out = tmp_path_factory.mktemp("runs") / "new" / "bars"
    words = ["--epochs", "12", "--batch-size", "16", "--augment", "none", "--seed", "3"]
    status = main(["train", "--data", str(npz), "--arch", "lenet", "--out", str(out), *words])
    assert status == 0
    return out


def json_of(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_these_files_are_left_and_nothing_else(run):
    assert sorted(path.name for path in run.iterdir()) == FILES


def test_the_history_has_the_fields_that_scripts_rely_on(run):
    history = json_of(run / "history.json")
    assert [row["epoch"] for row in history] == list(range(13))
    fields = {"epoch", "loss", "val_loss", "accuracy", "val_accuracy", "learning_rate"}
    assert all(set(row) >= fields for row in history)
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_record_and_the_model_say_the_same(run, npz):
    import keras

    record = json_of(run / "training.json")
    dataset = load_data(str(npz))
    assert record["labels"] == ["upright <1>", "lying"]
    assert record["data"]["fingerprint"] == dataset.train.fingerprint()
    assert record["data"]["name"] == "bars.npz"
    assert (record["architecture"], record["seed"], record["config"]["epochs"]) == ("lenet", 3, 12)
    assert set(record["versions"]) >= {"edge_cnn", "python", "tensorflow", "keras", "numpy"}
    model = keras.models.load_model(run / "model.keras", compile=False)
    inputs = normalize(dataset.test.images, Preprocessing.from_json(record["preprocessing"]))
    answers = model.predict(inputs, verbose=0).argmax(axis=1)
    assert record["test_accuracy"] == np.mean(answers == dataset.test.labels)


def test_the_report_shows_pictures_and_numbers_and_fetches_nothing(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    for heading in ("Learning", "Which classes were mixed up", "What it costs a device"):
        assert re.search(rf"<h2>{heading}</h2>\s*<div><svg", page), heading
    assert page.count("<svg") >= 6
    assert "upright &lt;1&gt;" in page
    assert "upright <1>" not in page
    assert not re.findall(r'(?:href|src)="(?!#|data:)', page)
    assert "<script" not in page
    assert 'name="viewport"' in page
    assert f"{100 * json_of(run / 'training.json')['test_accuracy']:.1f} %" in page


def test_export_reads_what_train_left(run, npz, tmp_path, capsys):
    words = ["--target", "rpi5", "--calibration", str(npz), "--scheme", "float32", "--golden", "4"]
    assert main(["export", str(run / "model.keras"), *words, "--out", str(tmp_path / "m.edgecnn"), "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["host_accuracy"]
    assert accuracy == json_of(run / "training.json")["test_accuracy"]


def test_json_is_one_document_and_progress_goes_to_stderr(npz, tmp_path, capsys, small_network):
    words = ["--epochs", "2", "--json", "--class-weights", "balanced", "--optimizer", "sgd", "--learning-rate", "0.01"]
    assert main(["train", "--data", str(npz), "--arch", small_network, "--out", str(tmp_path), *words]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["epochs"] == 2
    assert document["test_accuracy"] == json_of(tmp_path / "training.json")["test_accuracy"]
    assert re.search(r"training 2/2 loss \d\.\d+, accuracy \d+\.\d%; validation", captured.err)


@pytest.mark.slow
def test_the_same_seed_trains_alike_and_replaces_what_was_there(npz, tmp_path, capsys):
    histories = []
    for seed in ("5", "5", "6"):
        words = ["--epochs", "1", "--quiet", "--seed", seed]
        assert main(["train", "--data", str(npz), "--arch", "lenet", "--out", str(tmp_path), *words]) == 0
        histories.append([{**row, "seconds": 0} for row in json_of(tmp_path / "history.json")])
    assert histories[0] == histories[1] != histories[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert capsys.readouterr().err == ""


@pytest.fixture
def interrupted_after(monkeypatch):
    """Presses Ctrl-C when the given epoch has ended."""
    from edge_cnn.cli.train_live import Live

    def arm(epoch):
        original = Live.on_epoch

        def on_epoch(self, record):
            original(self, record)
            if record.epoch == epoch:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Live, "on_epoch", on_epoch)

    return arm


def test_ctrl_c_keeps_the_best_model_so_far(npz, tmp_path, capsys, interrupted_after, small_network):
    interrupted_after(2)
    assert main(["train", "--data", str(npz), "--arch", small_network, "--out", str(tmp_path / "o"), "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["interrupted"]
    assert document["epochs"] == 2
    assert f"interrupted after epoch 2; the best weights so far, of epoch {document['best_epoch']}" in captured.err
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == sorted(["checkpoint.npz", *FILES])


def test_ctrl_c_before_there_is_anything_to_keep_writes_nothing(
    npz, tmp_path, capsys, interrupted_after, small_network
):
    interrupted_after(0)
    assert main(["train", "--data", str(npz), "--arch", small_network, "--out", str(tmp_path / "o")]) == 130
    assert capsys.readouterr().err.endswith("error: interrupted\n")
    assert not (tmp_path / "o").exists()


def test_a_write_that_fails_leaves_the_old_files_whole(npz, tmp_path, monkeypatch, capsys, small_network):
    for name in FILES:
        (tmp_path / name).write_text("old")
    monkeypatch.setattr("edge_cnn.host.training.files._json", lambda _value: 1 / 0)
    assert main(["train", "--data", str(npz), "--arch", small_network, "--out", str(tmp_path), "--epochs", "1"]) == 2
    assert "internal error: ZeroDivisionError" in capsys.readouterr().err
    # The page of the progress is gone, as nothing progresses.
    assert sorted(path.name for path in tmp_path.iterdir()) == [name for name in FILES if name != "progress.html"]
    assert all(path.read_text() == "old" for path in tmp_path.iterdir())


def refused(words, capsys, status=2):
    assert main(["train", *words]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arch", "vgg"], "unknown architecture 'vgg'; known: lenet, resnet8"),
        (["--data", "cifar"], "unknown data set 'cifar'; known: digits, optdigits"),
        (["--data", "none.npz"], "no data at none.npz"),
        (["--learning-rate", "0"], "learning rate 0.0: it must be positive"),
        (["--learning-rate", "-0.1"], "learning rate -0.1: it must be positive"),
        (["--learning-rate", "nan"], "learning rate nan: it must be positive"),
        (["--learning-rate", "fast"], "Invalid value for '--learning-rate'"),
        (["--learning-rate", "fast"], "Invalid value for '--learning-rate': 'fast' is not a valid float"),
        (["--epochs", "0"], "epochs 0: it must be at least 1; try 30"),
        (["--batch-size", "0"], "batch size 0: it must be at least 1; try 32"),
        (["--augment", "music"], "unknown augmentation 'music'; known: none, handwriting, photos"),
        (["--objective", "hinge"], "unknown objective 'hinge'; known: cross-entropy, squared-error"),
        (["--schedule", "moon"], "unknown schedule 'moon'; known: cosine"),
        (["--warm-up", "1"], "warm-up 1.0: it is a share of the steps"),
        (["--weight-decay", "-1"], "weight decay -1.0: it must be 0 or positive"),
        (["--clip-norm", "0"], "clip norm 0.0: it must be positive"),
        (["--optimizer", "lion"], "unknown optimizer 'lion'; known: adam"),
        (["--class-weights", "even"], "class weights 'even': 'even' is no NAME=WEIGHT; give balanced"),
        (["--out", "file"], "is a file, a folder is wanted"),
        (["--out", "file/below"], "is a file, a folder is wanted"),
    ],
)
def test_bad_usage_is_one_line_and_nothing_is_written(npz, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("here first")
    assert said in refused(["--data", str(npz), "--arch", "lenet", "--out", "o", "--quiet", *words], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "here first"


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (np.zeros((6, 9, 9, 1), np.uint8), [0] * 6, "one class only"),
        (np.zeros((6, 9, 9, 1), np.uint8), [0, 0, 0, 0, 0, 1], "a single sample of class '1'"),
        (np.zeros((6, 9, 9, 1), np.uint8), [0, 0, 0, 2, 2, 2], "no sample of class 1"),
        (np.zeros((6, 9, 9, 1), np.uint8), [0, 0, 0, 1, 1, -1], "label -1 is out of range"),
        (np.full((6, 9, 9, 1), np.inf, np.float32), [0, 0, 0, 1, 1, 1], "NaN or infinity"),
        (np.zeros((6, 9, 9), np.float32), [0, 0, 0, 1, 1, 1], "not (n, height, width, channels)"),
        (
            np.eye(6)[:, :5, None, None].repeat(9, 2).astype(np.uint8),
            [0, 0, 0, 1, 1, 1],
            "images of 5x9 pixels are too small for lenet",
        ),
    ],
)
def test_bad_data_is_one_line_and_nothing_is_written(tmp_path, capsys, images, labels, said):
    np.savez(tmp_path / "d.npz", x=images, y=np.array(labels))
    words = ["--data", str(tmp_path / "d.npz"), "--arch", "lenet", "--out", str(tmp_path / "o"), "--quiet"]
    assert said in refused(words, capsys)
    assert not (tmp_path / "o").exists()


def test_a_learning_rate_that_diverges_is_a_failed_check(npz, tmp_path, capsys):
    words = ["--data", str(npz), "--arch", "lenet", "--out", str(tmp_path / "o"), "--quiet"]
    said = refused([*words, "--optimizer", "sgd", "--learning-rate", "1e30", "--batch-size", "8"], capsys, status=1)
    assert "diverged in epoch 1" in said
    assert not (tmp_path / "o").exists()


def test_without_tensorflow_the_line_says_what_to_install(npz, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    words = ["--data", str(npz), "--arch", "lenet", "--out", str(tmp_path / "o"), "--quiet"]
    assert "pip install 'edge-cnn[host]'" in refused(words, capsys, status=3)
    assert not (tmp_path / "o").exists()
