"""The search around a training whose loss is a known function of its settings."""

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from edge_cnn.core.errors import CheckFailedError, InputError, UnavailableError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.search import search as searching
from edge_cnn.host.search.search import search
from edge_cnn.host.search.study import StudyFile, import_optuna
from edge_cnn.host.training import EpochRecord, TrainConfig

optuna = pytest.importorskip("optuna", reason="Optuna is not installed; pip install 'edge-cnn[search]'")

SAMPLES = LabelledImages(np.zeros((200, 4, 4, 1), np.uint8), np.arange(200) % 2, ("a", "b"))
CONFIG = TrainConfig(optimizer="sgd", learning_rate=0.4, epochs=10, augmentation=None)
BEST_RATE = 0.02
FIXED = {"optimizer", "batch_size", "weight_decay", "warm_up"}


def loss_of(config):
    return 0.1 + math.log10(config.peak_rate / BEST_RATE) ** 2


def trained(config, samples, on_epoch):
    """A training that comes down to its loss as 1/epoch."""
    assert samples is SAMPLES
    for epoch in range(config.epochs + 1):
        on_epoch(EpochRecord(epoch, 1.0, loss_of(config) + 1 / (epoch + 1), 0.5, 0.5, 0.1))
    return SimpleNamespace(interrupted=False, diverged=False)


@pytest.fixture(autouse=True)
def known_loss(monkeypatch):
    monkeypatch.setattr(searching, "train", trained)


def run(path, trials=12, config=CONFIG, **named):
    return search(config, SAMPLES, trials, path, given=FIXED, **named)


def test_the_best_of_the_trials_comes_near_the_known_best_rate(tmp_path):
    found = run(tmp_path / "s.db", 25)
    assert found.trials[0].learning_rate == pytest.approx(0.4)
    assert found.trials[0].val_loss == pytest.approx(loss_of(CONFIG) + 1 / 11)
    assert found.best_trial.val_loss == min(trial.val_loss for trial in found.trials if trial.state == "complete")
    assert found.best_trial.val_loss == pytest.approx(loss_of(found.config) + 1 / 11)
    assert BEST_RATE / 1.5 < found.config.peak_rate < BEST_RATE * 1.5
    assert found.importance == {"rate factor": pytest.approx(1.0)}
    json.dumps(found.to_json(), allow_nan=False)


def test_trials_above_the_median_are_stopped_early(tmp_path):
    found = run(tmp_path / "s.db", 25)
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    complete = sorted(trial.val_loss for trial in found.trials if trial.state == "complete")
    for trial in pruned:
        assert 2 <= trial.epochs < CONFIG.epochs
        assert trial.val_loss > complete[0]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials_also_when_it_goes_on(tmp_path):
    values = {}
    for name, numbers in (("whole", (12,)), ("parts", (3, 7, 12))):
        for trials in numbers:
            values[name] = [trial.values for trial in run(tmp_path / name, trials).trials]
    other = TrainConfig(optimizer="sgd", learning_rate=0.4, epochs=10, augmentation=None, seed=1)
    assert values["whole"] == values["parts"]
    assert values["whole"] != [trial.values for trial in run(tmp_path / "other", config=other).trials]


@pytest.mark.slow
def test_a_trial_whose_process_was_killed_is_taken_again(tmp_path):
    whole = run(tmp_path / "whole", 6)
    run(tmp_path / "killed", 3)
    script = (
        "import os, signal, sys; from pathlib import Path; from tests.host.search import test_search as t\n"
        "def killed(config, samples, on_epoch): os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.searching.train = killed; t.run(Path(sys.argv[1]), 6)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "killed")], capture_output=True, check=False)
    assert ended.returncode == -9, ended.stderr
    found = run(tmp_path / "killed", 6)
    assert [(trial.values, trial.val_loss) for trial in found.trials] == [
        (trial.values, trial.val_loss) for trial in whole.trials
    ]


@pytest.mark.slow
def test_ctrl_c_keeps_what_has_ended_and_the_next_start_takes_the_rest(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", 6)
    told = []

    def interrupted(config, samples, on_epoch):
        result = trained(config, samples, on_epoch)
        return SimpleNamespace(interrupted=len(told) == 3, diverged=result.diverged)

    with monkeypatch.context() as patch:
        patch.setattr(searching, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "s.db", 6, on_trial=lambda trial, _done: told.append(trial))
    assert [trial.val_loss for trial in told] == [trial.val_loss for trial in whole.trials[:3]]
    assert [trial.values for trial in run(tmp_path / "s.db", 6).trials] == [trial.values for trial in whole.trials]


@pytest.mark.slow
def test_two_processes_share_the_trials_of_one_study(tmp_path):
    script = (
        "import json, sys; from pathlib import Path; from tests.host.search import test_search as t\n"
        "t.searching.train = t.trained; mine = []\n"
        "found = t.run(Path(sys.argv[1]), 16, on_trial=lambda trial, _: mine.append(trial.number))\n"
        "print(json.dumps([mine, found.best, len(found.trials)]))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "s.db")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        outputs = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], outputs
    (first, best, count), (second, same, _) = (json.loads(output) for output, _ in outputs)
    assert sorted(first + second) == list(range(16))
    assert (best, count) == (same, 16)


def test_a_trial_that_diverges_is_not_the_best_and_counts(tmp_path, monkeypatch):
    def diverging(config, samples, on_epoch):
        if config.peak_rate > 0.1:
            raise CheckFailedError("the loss was not finite")
        return trained(config, samples, on_epoch)

    monkeypatch.setattr(searching, "train", diverging)
    found = run(tmp_path / "s.db", 10)
    assert found.trials[0].state == "diverged"
    assert found.config.peak_rate < 0.1
    with pytest.raises(CheckFailedError, match="none of 1 trials came to its end with a finite loss"):
        run(tmp_path / "one.db", 1)


def test_a_study_of_something_else_is_refused_with_the_difference(tmp_path):
    run(tmp_path / "s.db", 1)
    with pytest.raises(InputError, match=r"s\.db is a search with other configuration; give the same options"):
        run(tmp_path / "s.db", 2, TrainConfig(optimizer="sgd", learning_rate=0.3, epochs=10, augmentation=None))
    with pytest.raises(InputError, match="with other searched parameters"):
        search(CONFIG, SAMPLES, 2, tmp_path / "s.db", given=())


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\0" * 200])
def test_a_file_that_is_no_study_is_one_clear_line(tmp_path, content):
    path = tmp_path / "s.db"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"s\.db is no study of a search \(.+\); give another --study"):
        StudyFile(path, {})
    assert path.read_bytes() == content


def test_without_optuna_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnavailableError, match=r"a search needs Optuna \(.+\); pip install 'edge-cnn\[search\]'"):
        import_optuna()
