"""`edge-cnn train --resume`: after SIGKILL, after Ctrl-C, and where it cannot."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.errors import InputError
from edge_cnn.host.training import loop
from edge_cnn.host.training.checkpoint import read_checkpoint
from edge_cnn.host.training.checkpointing import Checkpointing
from tests.unmeasured import unmeasured

FILES = ["history.json", "model.keras", "progress.html", "report.html", "training.json"]
KILLS = 20


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """120 samples: an upright or a lying bar."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = rng.integers(0, 120, (120, 10, 10, 1))
    for image, label, place in zip(images, labels, rng.integers(2, 8, 120), strict=True):
        image[:, place] += 100 * (label == 0)
        image[place] += 100 * (label == 1)
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    np.savez(path, x=images.astype(np.uint8), y=labels)
    return path


def history(folder):
    rows = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def weights(folder):
    import keras

    return [w.tobytes() for w in keras.models.load_model(folder / "model.keras", compile=False).get_weights()]


@pytest.mark.slow
def test_killed_at_twenty_random_moments_a_training_goes_on_to_the_same_weights(npz, tmp_path):
    words = ["train", "--data", str(npz), "--arch", "small", "--epochs", "40", "--batch-size", "8", "--patience", "0"]
    words += ["--augment", "handwriting", "--checkpoint-every", "0", "--quiet", "--out"]
    rng = np.random.default_rng(0)
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("killed_trainings.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=unmeasured() | {"PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    ) as server:

        def run(*more, kill=None):
            server.stdin.write(json.dumps({"words": [*words, *more], "kill": kill}) + "\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline())

        whole = tmp_path / "whole"
        reference = run(str(whole))
        assert reference["status"] == 0
        longest = reference["seconds"] - reference["checkpoint"]
        killed, places, tries = 0, set(), 0
        while killed < KILLS:
            tries += 1
            assert tries < 3 * KILLS
            out = tmp_path / f"killed{tries}"
            if run(str(out), kill=rng.uniform(0, longest))["status"] == 0:
                continue  # it was whole already
            killed += 1
            left = read_checkpoint(out / "checkpoint.npz").state
            places.add((left.epoch, left.step))
            assert run(str(out), "--resume")["status"] == 0
            assert weights(out) == weights(whole)
            assert history(out) == history(whole)
            assert sorted(path.name for path in out.iterdir()) == FILES
        assert len(places) > KILLS / 2
        server.stdin.close()


@pytest.fixture
def words(npz, small_network):
    return ["train", "--data", str(npz), "--arch", small_network, "--batch-size", "8", "--epochs", "4", "--out"]


@pytest.fixture
def ctrl_c_at(monkeypatch):
    """Presses Ctrl-C while the given epoch and step are going on."""
    from edge_cnn.cli import train_live

    monkeypatch.setattr(loop, "SECONDS_A_CALL", 0.0)

    def arm(epoch, step):
        def on_step(_live, progress):
            if (progress.epoch, progress.step) == (epoch, step):
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(train_live.Live, "on_step", on_step)

    return arm


def test_ctrl_c_keeps_the_best_and_the_place_and_resume_goes_on_to_the_same_bytes(words, tmp_path, capsys, ctrl_c_at):
    assert main([*words, str(tmp_path / "whole"), "--quiet"]) == 0
    out = tmp_path / "out"
    ctrl_c_at(3, 5)
    assert main([*words, str(out)]) == 0
    said = capsys.readouterr().err
    assert "interrupted after epoch 2; the best weights so far, of epoch " in said
    assert f"the same command with --resume goes on from {out / 'checkpoint.npz'}" in said
    assert sorted(path.name for path in out.iterdir()) == sorted(["checkpoint.npz", *FILES])
    assert json.loads((out / "training.json").read_text(encoding="utf-8"))["interrupted"]
    ctrl_c_at(0, 0)
    assert main([*words, str(out), "--resume"]) == 0
    assert "going on in epoch 3 of 4, after step 5" in capsys.readouterr().err
    assert weights(out) == weights(tmp_path / "whole")
    assert history(out) == history(tmp_path / "whole")
    assert sorted(path.name for path in out.iterdir()) == FILES


def test_ctrl_c_in_the_first_epoch_leaves_the_checkpoint_alone(words, tmp_path, capsys, ctrl_c_at):
    ctrl_c_at(1, 2)
    assert main([*words, str(tmp_path / "o")]) == 130
    said = capsys.readouterr().err
    assert "with --resume goes on from" in said
    assert said.endswith("error: interrupted\n")
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["checkpoint.npz"]


def refused(words, capsys, status=2):
    assert main([*words, "--quiet"]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def interrupted(words, tmp_path, ctrl_c_at, capsys):
    """Folder of an interrupted training."""
    ctrl_c_at(2, 3)
    assert main([*words, str(tmp_path / "out"), "--quiet"]) == 0
    capsys.readouterr()
    ctrl_c_at(0, 0)
    return tmp_path / "out"


def test_what_cannot_be_resumed_is_one_line_and_leaves_the_checkpoint(words, interrupted, tmp_path, capsys):
    resume, path = [*words, str(interrupted), "--resume"], interrupted / "checkpoint.npz"
    before = path.read_bytes()
    assert "is of small, not of lenet; give --arch small" in refused([*resume, "--arch", "lenet"], capsys)
    assert "another --epochs (it began with 4)" in refused([*resume, "--epochs", "5"], capsys)
    assert "another --optimizer (it began with adam)" in refused(
        [*resume, "--optimizer", "sgd", "--learning-rate", "0.003"], capsys
    )
    assert "another --seed (it began with 0)" in refused([*resume, "--seed", "1"], capsys)
    # The data comes first: with other data another architecture is no wonder.
    assert "is of a training on other data" in refused([*resume, "--data", "digits", "--arch", "lenet"], capsys)
    assert refused([*resume, "--optimizer", "sgd"], capsys).count("it began with") == 1
    assert path.read_bytes() == before
    path.write_bytes(before[:-100])
    assert "is damaged: " in refused(resume, capsys)
    path.unlink()
    assert "the training there has ended; leave --resume out to start one" in refused(resume, capsys)
    said = refused([*words, str(tmp_path / "none"), "--resume"], capsys)
    assert "no training was interrupted there; leave --resume out" in said
    assert not (tmp_path / "none").exists()


def test_results_that_cannot_be_written_are_not_lost(words, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise InputError("cannot write model.keras: No space left on device; make room there")

    out = tmp_path / "out"
    with monkeypatch.context() as full:
        full.setattr("edge_cnn.host.training.files._write", fail)
        said = refused([*words, str(out), "--checkpoint-every", "0", "--quiet"], capsys)
    assert "make room there, then the same command with --resume goes on" in said
    assert main([*words, str(out), "--resume", "--quiet"]) == 0
    assert (out / "model.keras").exists()


def test_hours_of_work_are_not_started_over_by_mistake_but_a_first_try_is(words, interrupted, capsys, monkeypatch):
    from edge_cnn.cli import train_checkpoint

    start = [*words, str(interrupted), "--epochs", "1"]
    monkeypatch.setattr(train_checkpoint, "LITTLE_WORK", 0.0)
    said = refused(start, capsys)
    assert "holds a training that was interrupted in epoch 2 of 4, after step 3, " in said
    assert "add --resume to go on, give another --out, or delete it" in said
    assert (interrupted / "checkpoint.npz").exists()
    monkeypatch.undo()


def test_little_work_is_started_over_with_a_note(words, interrupted, capsys):
    assert main([*words, str(interrupted), "--epochs", "1"]) == 0
    assert (
        "starts at the beginning; what was interrupted here in epoch 2 of 4, after step 3 was"
        in capsys.readouterr().err
    )
    assert sorted(path.name for path in interrupted.iterdir()) == FILES


def test_a_second_ctrl_c_and_one_before_the_first_step_end_at_once(tmp_path):
    former = signal.getsignal(signal.SIGINT)
    with Checkpointing(tmp_path / "c.npz", None, 1000) as checkpoints:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)  # nothing was done yet
        checkpoints.on_pause(lambda: None)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is former
