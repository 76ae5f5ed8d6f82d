"""The search around a training whose loss is a known function of its settings."""

import contextlib
import json
import math
import platform
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
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
    assert sorted(first + second) == list(range(1, 17))
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


def test_the_first_trial_is_exactly_the_training_without_a_search(tmp_path, monkeypatch):
    config = replace(CONFIG, batch_size=25, weight_decay=None, warm_up=0.5)
    seen = []

    def noting(asked, samples, on_epoch):
        seen.append(asked)
        return trained(asked, samples, on_epoch)

    monkeypatch.setattr(searching, "train", noting)
    found = search(config, SAMPLES, 3, tmp_path / "s.db", given={"optimizer"})
    assert seen[0] == config
    assert found.baseline == found.trials[0]
    assert found.baseline.values["batch size"] == 25
    assert not {"weight decay", "warm-up"} & set(found.baseline.values)  # 0 and 0.5 are outside of their ranges
    assert {"weight decay", "warm-up"} <= set(found.trials[1].values)
    assert [trial.baseline for trial in found.trials] == [True, False, False]
    best = search(replace(config, learning_rate=BEST_RATE), SAMPLES, 1, tmp_path / "best.db", given={"optimizer"})
    assert best.config == replace(config, learning_rate=BEST_RATE)


def test_trials_are_counted_from_1_and_keep_number_and_part_when_they_are_taken_again(tmp_path, monkeypatch):
    def interrupted(*_arguments, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(searching, "train", interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path / "s.db", 4)
    told = []
    found = run(tmp_path / "s.db", 4, on_epoch=lambda number, _done, _record: told.append(number))
    assert [trial.number for trial in found.trials] == [1, 2, 3, 4]
    assert list(dict.fromkeys(told)) == [1, 2, 3, 4]
    assert found.baseline.number == 1
    assert found.baseline.learning_rate == 0.4


def test_the_training_without_a_search_is_told_also_where_a_kill_put_it_behind_others(tmp_path):
    run(tmp_path / "s.db", 6)
    # Killed before it had chosen its values, while other processes went on.
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as database, database:
        (first,) = database.execute("SELECT trial_id FROM trials WHERE number = 0").fetchone()
        database.execute("UPDATE trials SET state = 'RUNNING' WHERE trial_id = ?", (first,))
        for table in ("trial_params", "trial_values", "trial_intermediate_values"):
            database.execute(f"DELETE FROM {table} WHERE trial_id = ?", (first,))
        database.execute(
            "UPDATE trial_user_attributes SET value_json = ? WHERE trial_id = ? AND key = 'process'",
            (json.dumps([platform.node(), gone.pid]), first),
        )
    found = run(tmp_path / "s.db", 6)
    assert [trial.number for trial in found.trials] == [1, 2, 3, 4, 5, 6]
    assert found.baseline.number == 1
    assert found.baseline.learning_rate == 0.4
    assert found.baseline.state == "complete"  # not stopped as worse than the median, which it is


@pytest.mark.parametrize(
    ("changes", "given", "samples", "said"),
    [
        ({"learning_rate": 0.3}, FIXED, SAMPLES, "with another --learning-rate (it began with 0.4); give the same, or"),
        (
            {"epochs": 9, "class_weights": "balanced"},
            FIXED,
            SAMPLES,
            "with another --class-weights (it began with none), --epochs (it began with 10); give the same",
        ),
        ({}, FIXED - {"warm_up"}, SAMPLES, "that was given --warm-up; give the same, or another --study"),
        ({}, FIXED | {"learning_rate"}, SAMPLES, "that was not given --learning-rate; leave it out, or another"),
        ({}, FIXED, replace(SAMPLES, labels=1 - SAMPLES.labels), "on other data; give the same --data, or another"),
    ],
)
def test_a_study_of_something_else_is_refused_with_each_option_that_differs(tmp_path, changes, given, samples, said):
    run(tmp_path / "s.db", 1)
    with pytest.raises(InputError) as caught:
        search(replace(CONFIG, **changes), samples, 2, tmp_path / "s.db", given=given)
    assert f"s.db is a search {said}" in str(caught.value)


@pytest.mark.parametrize("content", [b"no database", "foreign"])
def test_a_file_that_is_no_study_is_one_clear_line_and_stays(tmp_path, content):
    path = tmp_path / "s.db"
    if content == "foreign":
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE songs (name TEXT)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"s\.db is no study of a search \(.+\); give another --study$"):
        StudyFile(path, {})
    assert path.read_bytes() == before


@pytest.mark.parametrize("start", [0.0, 0.02, 0.2, 0.4, 0.6, 0.8])
def test_a_damaged_study_is_told_as_such_with_what_to_do(tmp_path, start):
    path = tmp_path / "s.db"
    run(path, 3)
    data = bytearray(path.read_bytes())
    place = max(16, int(start * len(data)))  # behind the mark of the format
    noise = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes()
    data[place : place + len(noise)] = noise[: len(data) - place]
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        run(path, 4)
    assert re.fullmatch(
        r".*s\.db is damaged \(.+\); delete it to search anew, or give another --study", str(caught.value)
    )


def test_rows_that_hold_no_json_are_a_damaged_study(tmp_path):
    run(tmp_path / "s.db", 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as database, database:
        database.execute("UPDATE trial_user_attributes SET value_json = '{broken'")
    with pytest.raises(InputError, match=r"s\.db is damaged \(.+\); delete it to search anew"):
        run(tmp_path / "s.db", 2)


def test_without_optuna_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnavailableError, match=r"a search needs Optuna \(.+\); pip install 'edge-cnn\[search\]'"):
        import_optuna()
