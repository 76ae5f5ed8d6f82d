"""`edge-cnn train --tensorboard`: its files, read back with TensorFlow's own reader of records and events."""

import json
import sys

import numpy as np
import pytest

from edge_cnn.cli.main import main


@pytest.fixture
def words(tmp_path, small_network):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = rng.integers(0, 90, (60, 8, 8, 1)) + 150 * labels[:, None, None, None]
    np.savez(tmp_path / "data.npz", x=images.astype(np.uint8), y=labels)
    place = ["--data", str(tmp_path / "data.npz"), "--out", str(tmp_path / "out")]
    return ["train", *place, "--arch", small_network, "--epochs", "3", "--quiet"]


def events(folder):
    """All values by tag: step -> scalar or histogram; and the steps from which earlier ones count no more."""
    import tensorflow as tf

    values, purges = {}, []
    for file in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset([str(file)]):
            event = tf.compat.v1.Event.FromString(record.numpy())
            if event.HasField("session_log"):
                purges.append(event.step)
            for value in event.summary.value:
                held = value.simple_value if value.HasField("simple_value") else value.histo
                values.setdefault(value.tag, {})[event.step] = held
    return values, purges


def test_the_files_hold_the_history_the_gradients_and_the_weights(words, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX; pip install 'edge-cnn[tensorboard]'")
    assert main([*words, "--tensorboard", str(tmp_path / "logs" / "run")]) == 0
    values, purges = events(tmp_path / "logs" / "run")
    history = json.loads((tmp_path / "out" / "history.json").read_text(encoding="utf-8"))
    fields = {
        "loss/training": "loss",
        "loss/validation": "val_loss",
        "accuracy/training": "accuracy",
        "accuracy/validation": "val_accuracy",
        "learning_rate": "learning_rate",
    }
    for tag, field in fields.items():
        assert values[tag] == pytest.approx({row["epoch"]: row[field] for row in history})
    for layer in ("hidden", "logits"):
        norms = {row["epoch"]: row["gradient_norms"][layer] for row in history[1:]}
        assert values[f"gradient_norm/{layer}"] == pytest.approx(norms)
    histogram = values["weights/hidden/kernel"][3]
    assert histogram.num == 64 * 16
    assert sum(histogram.bucket) == histogram.num
    assert histogram.min < 0 < histogram.max
    assert sorted(values["weights/logits/bias"]) == [0, 1, 2, 3]
    assert purges == []


def test_a_training_that_goes_on_takes_back_what_it_does_again(words, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX; pip install 'edge-cnn[tensorboard]'")
    import signal

    from edge_cnn.cli import train_live

    def on_step(_live, progress):
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    logs = ["--tensorboard", str(tmp_path / "logs")]
    with monkeypatch.context() as patch:
        patch.setattr("edge_cnn.host.training.loop.SECONDS_A_CALL", 0.0)
        patch.setattr(train_live.Live, "on_step", on_step)
        assert main([*words, "--batch-size", "8", *logs]) == 0
    assert main([*words, "--batch-size", "8", *logs, "--resume"]) == 0
    values, purges = events(tmp_path / "logs")
    assert purges == [2]
    assert sorted(values["loss/training"]) == [0, 1, 2, 3]


def test_without_the_library_the_line_says_what_to_install(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert main([*words, "--tensorboard", str(tmp_path / "logs")]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'edge-cnn[tensorboard]'" in said
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_to_is_refused_before_training(words, tmp_path, capsys):
    (tmp_path / "file").write_text("here first")
    assert main([*words, "--tensorboard", str(tmp_path / "file")]) == 2
    assert "is a file, a folder is wanted" in capsys.readouterr().err
