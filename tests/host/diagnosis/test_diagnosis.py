import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.host.datasets import load_dataset
from edge_cnn.host.diagnosis import FINDINGS, Trajectory, constant_loss, diagnose, passed
from edge_cnn.host.training import EpochRecord, TrainConfig
from edge_cnn.host.training.origin import Origin

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "learning_rates.py"


def trajectory(losses, val_losses=None, *, rates=None, gradients=None, constant=2.3, config=None, **named):
    """A training with these losses; the first is the untrained network's."""
    val_losses = losses if val_losses is None else val_losses
    epochs = len(losses) - 1
    rates = [0.01] * epochs if rates is None else rates
    gradients = [1.0] * epochs if gradients is None else gradients
    history = (
        EpochRecord(0, losses[0], val_losses[0], 0.1, 0.1, 0.0),
        *(
            EpochRecord(e, losses[e], val_losses[e], 0.5, 0.5, rates[e - 1], 1.0, {"a": gradients[e - 1], "b": 1.0})
            for e in range(1, epochs + 1)
        ),
    )
    config = config or TrainConfig(optimizer="adam", learning_rate=0.01, epochs=30)
    return Trajectory(history, config, constant, **named)


def names(*arguments, **named):
    return [finding.name for finding in diagnose(trajectory(*arguments, **named))]


GOOD = list(2.5 * np.exp(-np.arange(31) / 4) + 0.02)


SLOW = list(2.3 - 0.02 * np.arange(31))


@pytest.mark.parametrize(("rate", "advice"), [(1e-4, "--learning-rate"), (0.01, "--epochs 120")])
def test_what_crawls_at_the_usual_rate_needs_more_epochs(rate, advice):
    config = TrainConfig(optimizer="adam", learning_rate=rate, epochs=30)
    (finding,) = diagnose(trajectory(SLOW, rates=[rate] * 30, config=config))
    assert finding.name == "crawling"
    assert finding.advice.startswith(advice)


def test_the_range_test_is_not_advised_to_who_took_it():
    config = TrainConfig(optimizer="adam", learning_rate=1e-4, epochs=30)
    advice = [
        diagnose(trajectory(losses, rates=[1e-4] * 30, config=config, auto_rate=tested))[0].advice
        for losses in (SLOW, list(np.linspace(2.3, 9.0, 31)))
        for tested in (False, True)
    ]
    assert ["auto" in text for text in advice] == [True, False, True, False]


def test_identical_weights_are_not_told_to_take_larger_steps():
    config = TrainConfig(optimizer="adam", learning_rate=1e-4, epochs=30, initialization="identical")
    assert diagnose(trajectory(SLOW, rates=[1e-4] * 30, config=config)) == ()


def test_a_good_training_is_nothing_to_worry_about():
    assert names(GOOD) == []
    assert all(names(GOOD[: n + 1]) == [] for n in range(len(GOOD)))


def test_a_training_that_has_not_begun_has_no_diagnosis():
    assert diagnose(Trajectory((), TrainConfig(), 2.3)) == ()
    assert names([2.5]) == []


def test_a_loss_that_is_not_finite_is_divergence_with_a_lower_rate_to_try():
    config = TrainConfig(optimizer="adam", learning_rate=10.0, epochs=30)
    (finding,) = diagnose(trajectory([2.5, 2.0, 1.8], diverged=True, config=config))
    assert finding.name == "diverging"
    assert "not finite in epoch 3, at a peak rate of 10" in finding.evidence
    assert finding.advice == "--learning-rate 0.015 or --learning-rate auto"


def test_a_loss_that_rises_beyond_a_constant_answer_diverges():
    (finding,) = diagnose(trajectory([2.5, 1.5, 1.9, 3.1]))
    assert str(finding).startswith("diverging: the training loss rose from 1.5 in epoch 1 to 3.1")
    assert "a constant answer has 2.3" in finding.evidence


def test_a_network_that_died_at_the_loss_of_a_constant_answer_diverged():
    flat = [2.9, 2.84, 2.309, 2.307, 2.306, 2.305, 2.303]
    assert names(flat, gradients=[1.0] + [1e-6] * 5) == ["diverging"]
    # Of weights that are all zero no step is to blame.
    zeros = TrainConfig(optimizer="adam", learning_rate=0.01, epochs=30, initialization="zeros")
    assert "diverging" not in names(flat, gradients=[1.0] + [1e-6] * 5, config=zeros)
    assert names(flat) == []


def test_a_slow_fall_crawls_whatever_the_schedule_does_to_the_rate():
    losses = list(2.9 - 0.6 * np.arange(13) / 12)
    config = TrainConfig(optimizer="adam", learning_rate=1e-5, epochs=12)
    (finding,) = diagnose(trajectory(losses, config=config))
    assert finding.name == "crawling"
    assert finding.advice == "--learning-rate 0.015 or --learning-rate auto"
    rates = 1e-5 * (1 + np.cos(np.pi * np.arange(12) / 12)) / 2
    # Under a cosine the loss follows the sum of the rates, so that its last epochs look like rest.
    resting = [2.9, *(2.9 - 0.6 * np.cumsum(rates) / rates.sum())]
    assert names(resting, rates=rates, config=config) == ["crawling"]
    assert names(losses[:4], config=replace(config, epochs=30)) == []


def test_jumps_from_epoch_to_epoch_oscillate():
    losses = [2.5, *(1.2 + 0.5 * (-1) ** np.arange(20))]
    (finding,) = diagnose(trajectory(losses))
    assert finding.name == "oscillating"
    assert "rose in 4 of the last 8 epochs, by 1 on average, between 0.7 and 1.7" in finding.evidence
    assert finding.advice == "--learning-rate 0.002 or --batch-size 128"


def test_a_floor_at_a_high_rate_is_a_plateau_and_at_the_end_of_a_cosine_it_is_not():
    losses = [2.5, *(0.6 + 1.5 * np.exp(-np.arange(30)))]
    constant = TrainConfig(learning_rate=0.01, schedule="constant", epochs=30)
    (finding,) = diagnose(trajectory(losses, config=constant))
    assert finding.name == "plateaued"
    assert finding.advice.startswith("--schedule plateau")
    late = [0.01] * 18 + [1e-4] * 12
    assert names(losses, rates=late) == []


def test_a_validation_loss_that_rises_while_the_training_loss_falls_is_overfitting():
    losses = [2.5, *(2.0 * np.exp(-np.arange(30) / 5))]
    val_losses = [2.5, *(1.0 + 0.002 * (np.arange(30) - 8.0) ** 2)]
    config = TrainConfig(learning_rate=0.01, epochs=30, augmentation=None)
    (finding,) = diagnose(trajectory(losses, val_losses, config=config))
    assert finding.name == "overfitting"
    assert "rose from 1 in epoch 9 to 1.88" in finding.evidence
    assert "--augment" in finding.advice
    assert "--weight-decay 0.001" in finding.advice
    assert names(losses, losses) == []


def test_every_finding_is_made_by_its_function_of_the_table():
    expected = ["diverging", "crawling", "oscillating", "plateaued", "learned_nothing", "overfitting"]
    assert [find.__name__ for find in FINDINGS] == expected


AT_CHANCE = [1.6, 1.5, 1.49, 1.482, 1.485, 1.487, 1.486, 1.4865, 1.4862]
"""Of four classes, where a constant answer has 1.386."""


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"origin": Origin("m.keras", "", "new", ("conv1", "conv2"))}, "--freeze none"),
        ({"origin": Origin("m.keras", "", "new", ())}, "--epochs 32, or another network with --from"),
        ({"learning_rate": 1e-4}, "--learning-rate 0.015 or --learning-rate auto"),
        ({"learning_rate": 1.0}, "--learning-rate 0.015 or --learning-rate auto"),
        ({}, "--epochs 32, or another network with --arch"),
        ({"epochs": 30}, "--epochs 30 --patience 0, or another network with --arch"),
        ({"initialization": "zeros", "learning_rate": 1e-4}, "--init random"),
    ],
)
def test_a_training_that_ends_at_chance_is_never_nothing_to_worry_about(changes, advice):
    config = replace(TrainConfig(learning_rate=0.01, epochs=8), **changes)
    rates = [config.peak_rate] * 2 + [0.0] * 6
    (finding,) = diagnose(trajectory(AT_CHANCE, constant=1.386, config=config, rates=rates, ended=True))
    assert finding.name == "learned nothing"
    assert (
        finding.evidence
        == "after 8 of 8 epochs the training loss is 1.486, where a constant answer has 1.386".replace(
            "of 8", f"of {config.epochs}"
        )
    )
    assert finding.advice == advice
    assert names(AT_CHANCE, constant=1.386, rates=rates, config=config) == [], "while it goes on, it may still learn"


@pytest.mark.parametrize(
    ("frozen", "advice"),
    [(("conv1",), "--freeze none"), ((), "--learning-rate 0.002, or a larger network with --arch")],
)
def test_a_plateau_at_chance_is_one_and_frozen_layers_are_thawed_first(frozen, advice):
    config = TrainConfig(learning_rate=0.01, epochs=8, origin=Origin("m.keras", "", "new", frozen))
    (finding,) = diagnose(trajectory(AT_CHANCE, constant=1.386, config=config, ended=True))
    assert (finding.name, finding.advice) == ("plateaued", advice)


def test_a_first_epoch_whose_mean_hides_what_was_learned_has_learned():
    config = TrainConfig(epochs=1)
    assert names([2.5, 2.25], [2.5, 1.2], config=config, ended=True) == []
    assert names([2.5, 2.25], [2.5, 2.2], config=config, ended=True) == ["learned nothing"]


def test_what_crawls_above_a_constant_answer_on_frozen_layers_is_told_to_thaw_them():
    losses = [2.0, 1.6, 1.54, 1.5]
    config = TrainConfig(learning_rate=1e-3, epochs=8, origin=Origin("m.keras", "", "new", ("conv1",)))
    (finding,) = diagnose(trajectory(losses, constant=1.386, config=config))
    assert (finding.name, finding.advice) == ("crawling", "--freeze none")


def test_what_was_found_on_the_way_and_is_over_is_told_with_its_epoch():
    losses = [2.3, 2.1, 2.0, 1.9, 1.8, *(1.8 * np.exp(-np.arange(1, 9)))]
    whole = trajectory(losses, config=TrainConfig(learning_rate=0.01, epochs=12), ended=True)
    assert diagnose(whole) == ()
    assert passed(whole) == "crawling in epoch 4"
    assert passed(trajectory(GOOD, ended=True)) == ""


@pytest.mark.parametrize("objective", ["cross-entropy", "squared-error"])
def test_the_constant_answer_is_the_best_that_a_search_finds(objective):
    labels = np.array([0] * 6 + [1] * 3 + [2] * 1)
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(3), 20_000)
    if objective == "cross-entropy":
        losses = -np.log(answers[:, labels]).mean(axis=1)
    else:
        losses = ((answers[:, None, :] - np.eye(3)[labels]) ** 2).sum(axis=2).mean(axis=1)
    found = constant_loss(TrainConfig(objective=objective), labels, "abc")
    assert found is not None
    assert found <= losses.min() < found + 0.01


def test_balanced_classes_count_the_same_and_reconstruction_has_no_constant_answer():
    labels = np.array([0] * 9 + [1])
    assert constant_loss(TrainConfig(class_weights="balanced"), labels, "ab") == pytest.approx(math.log(2))
    assert constant_loss(TrainConfig("autoencoder", objective="reconstruction"), labels, "ab") is None


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_of_twelve_rates_on_the_spiral_every_diverging_and_crawling_run_is_called_so(optimizer):
    spec = importlib.util.spec_from_file_location("learning_rates", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["learning_rates"] = benchmark  # dataclasses look their module up
    spec.loader.exec_module(benchmark)
    dataset = load_dataset("spiral")
    config = TrainConfig("mlp", optimizer, epochs=200, batch_size=10, patience=None, augmentation=None)
    config = replace(config, objective="squared-error")
    rates = benchmark.WIDER.tolist()
    runs = [benchmark.run_of(replace(config, learning_rate=r), dataset.train, dataset.test) for r in rates]
    truths = [benchmark.truth_of(run, runs, 0.5) for run in runs]
    assert truths.count("diverging") >= 3
    assert truths.count("crawling") >= 3
    assert "good" in truths
    assert [
        (r, t, run.findings)
        for r, t, run in zip(rates, truths, runs, strict=True)
        if not benchmark.is_right(t, run.findings)
    ] == []
