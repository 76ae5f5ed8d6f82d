"""The log of a fine-tuning: what it holds does the run again; what does not fit is told."""

import copy
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import CheckFailedError, EdgeCnnError, InputError
from edge_cnn.device.finetuning.finetuning import finetune
from edge_cnn.device.finetuning.log import NAMES, check_origin, check_reproduced, config_of, read_log
from edge_cnn.device.finetuning.result import FinetuneConfig
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.training.head_training import TrainingConfig
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings

CONFIG = FinetuneConfig(
    0.25,
    3,
    2**24,
    TrainingConfig("sgd", OptimizerSettings(7, learning_rate=0.02, batch_size=8, momentum=0.5), l2=0.05, smoothing=0.1),
)


@pytest.fixture(scope="module")
def run(few_golden_path, digits_split):
    """(classifier, images, labels, result) of one run with settings that are not the usual ones."""
    test, classifier = digits_split[1], open_classifier(few_golden_path)
    images, labels = 255 - test.images[:60], test.labels[:60]
    return classifier, images, labels, finetune(classifier, images, labels, config=CONFIG)


@pytest.fixture
def log(run):
    """What stands in the file."""
    return json.loads(json.dumps(run[3].log))


def written(tmp_path, content):
    path = tmp_path / "log.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_the_settings_in_a_log_do_the_run_again_to_the_same_bytes(run, log, tmp_path):
    classifier, images, labels, result = run
    told = read_log(written(tmp_path, log))
    check_origin(told, classifier)
    assert config_of(told) == CONFIG
    again = finetune(classifier, images, labels, config=config_of(told))
    check_reproduced(told, again)
    assert again.classifier.artifact.data == result.classifier.artifact.data


def test_a_log_holds_nothing_of_this_machine_but_what_decides_the_bytes(run, log, tmp_path):
    assert set(log["origin"]) == set(NAMES)
    assert os.fspath(tmp_path.parent.parent) not in json.dumps(log)
    assert log["holdout"] == sorted(run[3].order["holdout"])
    assert log["artifact_sha256"] == run[3].classifier.artifact.sha256


@pytest.mark.parametrize("name", sorted(NAMES))
def test_another_origin_is_told_by_its_name(run, log, name):
    log["origin"][name] = "another"
    with pytest.raises(InputError, match=f"the log was made with another {NAMES[name]}: another, here it is"):
        check_origin(log, run[0])
    del log["origin"][name]
    with pytest.raises(InputError, match=f"another {NAMES[name]}: None"):
        check_origin(log, run[0])


def test_other_samples_are_bad_input_and_other_bytes_a_failed_check(run, log):
    result = run[3]
    check_reproduced(log, result)
    with pytest.raises(InputError, match="the samples are not those of the log"):
        check_reproduced(log | {"data": log["data"] | {"sha256": "00"}}, result)
    for name in ("head_sha256", "artifact_sha256"):
        with pytest.raises(CheckFailedError, match=f"other bytes than the log's came out: {name}.*nothing was saved"):
            check_reproduced(log | {name: "00"}, result)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"PK\x03\x04",
        [],
        1,
        {},
        {"head_sha256": "00"},
        {"head_sha256": "00", "schema": "1"},
        {"head_sha256": "00", "schema": 2},
        {"head_sha256": "00", "schema": 1},
    ],
    ids=lambda content: str(content)[:20],
)
def test_a_file_that_is_no_log_or_of_another_schema_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"^[^\n]*; [^\n]*$"):
        read_log(written(tmp_path, content))


def test_a_log_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the log .*: No such file or directory"):
        read_log(tmp_path / "none")
    with pytest.raises(InputError, match=r"cannot read the log .*: Is a directory"):
        read_log(tmp_path)


def leaves(value, path=()):
    """The places in a log whose values `config_of` and `check_origin` use."""
    if isinstance(value, dict):
        for name, inside in value.items():
            yield (*path, name)
            yield from leaves(inside, (*path, name))


BAD = (None, [], {}, "many", -1, 1e400, float("nan"), True)


def test_no_damage_to_a_log_is_more_than_one_line(run, log, tmp_path):
    places = [place for place in leaves(log) if place[0] in ("config", "class_names", "origin", "schema", "edge_cnn")]
    assert len(places) > 20
    tried = 0
    for place in places:
        for bad in (*BAD, KeyError):
            damaged = copy.deepcopy(log)
            inside = damaged
            for name in place[:-1]:
                inside = inside[name]
            if bad is KeyError:
                del inside[place[-1]]
            else:
                inside[place[-1]] = bad
            try:
                told = read_log(written(tmp_path, damaged))
                check_origin(told, run[0])
                config = config_of(told)
            except EdgeCnnError:
                tried += 1
            else:
                # Whatever was let through must be good for training.
                assert 0 < config.holdout < 1
                settings = config.training.settings
                for number in (config.seed, config.memory, settings.passes, settings.batch_size, settings.memory):
                    assert type(number) is int
                np.random.default_rng(config.seed)
                assert told["class_names"] is None or isinstance(told["class_names"], list)
    assert tried > 100


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": -1}, "settings are damaged"), ({"holdout": 2}, "holdout must be"), ({"memory": 5}, "at least 16 MB")],
)
def test_settings_out_of_their_range_are_refused(log, change, said):
    with pytest.raises(InputError, match=said):
        config_of(log | {"config": log["config"] | change})


def test_class_names_that_are_no_names_are_refused(log, tmp_path):
    for names in ("cat", [1, 2], {"a": 1}):
        with pytest.raises(InputError, match="class_names are damaged"):
            read_log(written(tmp_path, log | {"class_names": names}))
    assert read_log(written(tmp_path, log | {"class_names": ["a", "b"]}))["class_names"] == ["a", "b"]


def test_another_seed_gives_another_log(run):
    classifier, images, labels, result = run
    other = finetune(classifier, images, labels, config=replace(CONFIG, seed=4)).log
    assert other["holdout"] != result.log["holdout"]
    assert other["data"] == result.log["data"]
