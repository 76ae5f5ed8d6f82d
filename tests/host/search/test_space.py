import dataclasses

import pytest

from edge_cnn.host.search.space import (
    PARAMETERS,
    configure,
    open_parameters,
    own_values,
    strengthened,
    within_ranges,
)
from edge_cnn.host.training import TrainConfig
from edge_cnn.host.training.augmentation import Augmentation

optuna = pytest.importorskip("optuna", reason="Optuna is not installed; pip install 'edge-cnn[search]'")

BASE = TrainConfig(learning_rate=0.002, weight_decay=0.001, batch_size=32)


def names(*arguments):
    return [row.name for row in open_parameters(*arguments)]


def test_what_the_user_gave_is_not_searched():
    assert names(BASE, (), 1000) == [row.name for row in PARAMETERS]
    assert "rate factor" not in names(BASE, {"learning_rate"}, 1000)
    assert "augmentation" not in names(BASE, {"augmentation"}, 1000)
    assert "augmentation" not in names(dataclasses.replace(BASE, augmentation=None), (), 1000)
    assert "batch size" not in names(BASE, (), 60)  # neither 16 nor more has four steps, so there is only its own


def test_the_first_trial_is_the_configuration_itself():
    values = own_values(BASE, open_parameters(BASE, (), 1000))
    first = configure(BASE, values)
    assert first.peak_rate == pytest.approx(0.002)
    assert dataclasses.replace(first, learning_rate=0.002) == BASE


def test_a_study_gets_the_own_batch_size_as_it_is_and_numbers_at_the_end_of_their_range():
    config = dataclasses.replace(BASE, batch_size=25, weight_decay=0.0, warm_up=0.5, learning_rate=1.0)
    parameters = open_parameters(config, (), 300)
    values = own_values(config, parameters)
    assert (values["batch size"], values["weight decay"], values["warm-up"]) == (25, 0.0, 0.5)
    study = optuna.create_study()
    study.enqueue_trial(within_ranges(values, parameters))
    trial = study.ask()
    # Optuna warns of a value outside of its range, and takes another: warnings are errors here.
    taken = {row.name: row.suggest(trial, config, 300) for row in parameters}
    assert taken == values | {"rate factor": 10.0, "weight decay": 1e-6, "warm-up": 0.2}
    assert trial.distributions["batch size"].choices == (16, 25, 32, 64)


def test_every_suggestion_is_a_configuration_in_the_ranges():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = []
    for _ in range(50):
        trial = study.ask()
        values = {row.name: row.suggest(trial, BASE, 1000) for row in open_parameters(BASE, (), 1000)}
        configs.append(configure(BASE, values))
        study.tell(trial, 1.0)
    assert {config.optimizer for config in configs} == {"adam", "adamw", "sgd", "rmsprop"}
    assert {config.batch_size for config in configs} == {16, 32, 64, 128}
    # Around the optimizer's own rate, whatever that is: SGD takes larger ones than Adam.
    assert max(c.peak_rate for c in configs if c.optimizer == "adam") <= 0.03
    assert max(c.peak_rate for c in configs if c.optimizer == "sgd") > 0.05
    assert all(1e-6 <= config.weight_decay <= 0.1 for config in configs)
    assert all(0 <= config.warm_up <= 0.2 for config in configs)


def test_augmentation_goes_as_far_as_its_strength():
    once = Augmentation()
    assert strengthened(once, 0.0) is None
    assert strengthened(once, 1.0) == once
    assert strengthened(once, 0.5).rotation == 6.0
    assert strengthened(once, 2.0).blur == 1.0  # a share of a mix
