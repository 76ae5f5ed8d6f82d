import dataclasses

import numpy as np
import pytest

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.device.training.embedding_rows import dense_rows
from edge_cnn.device.training.head_training import TrainingConfig, pose_problem, train_head
from edge_cnn.device.training.linear_probe import ENOUGH_JUDGED, FOLDS, L2_PATH, MOST_SAMPLES, predict_gain
from edge_cnn.device.training.problem import hits

CLASSES, FEATURES = 4, 12


def clouds(n: int, seed: int = 0, spread: float = 2.0):
    """Overlapping Gaussian classes with means that do not depend on the seed."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    means = np.random.default_rng(99).normal(0, 1.0, (CLASSES, FEATURES))
    return dense_rows(means[labels] + rng.normal(0, spread, (n, FEATURES))), labels


def probe(rows, labels, head=None, seed=0, is_new=None, **config):
    nothing = np.zeros((CLASSES, FEATURES + 1), np.float32)
    return predict_gain(
        rows,
        labels,
        np.ones(len(labels), bool) if is_new is None else is_new,
        nothing if head is None else head,
        TrainingConfig(**config),
        np.random.default_rng(seed),
    )


def test_the_interval_holds_what_a_head_reaches_on_fresh_samples_nineteen_times_of_twenty():
    fresh, fresh_labels = clouds(20_000, seed=12345)
    inside = 0
    for seed in range(40):
        rows, labels = clouds(400, seed=seed)
        predicted = probe(rows, labels, seed=seed)
        config, nothing = TrainingConfig(patience=None), np.zeros((CLASSES, FEATURES + 1), np.float32)
        problem = pose_problem(rows, labels, nothing, predicted.l2, config)
        trained = train_head(problem, problem.anchor, config, np.random.default_rng(seed))
        reached = hits(fresh, fresh_labels, trained.parameters).mean()
        inside += predicted.interval[0] <= reached <= predicted.interval[1]
    assert inside >= 35  # of 40; fewer happen once in 100 times at 95 %


def test_random_labels_predict_that_nothing_can_be_gained():
    rows, labels = clouds(600)
    predicted = probe(rows, np.random.default_rng(5).permutation(labels))
    assert predicted.interval[0] <= 1 / CLASSES <= predicted.interval[1]


def test_few_samples_get_a_stronger_pull_than_many():
    few, many = (probe(*clouds(n), anchored=False).l2 for n in (30, 1500))
    assert few > many


def test_a_head_that_is_right_already_is_kept_by_few_samples():
    rows, labels = clouds(2000, seed=1)
    nothing = np.zeros((CLASSES, FEATURES + 1), np.float32)
    config = TrainingConfig(l2=1e-3, patience=None)
    head = train_head(pose_problem(rows, labels, nothing, 1e-3, config), nothing, config, np.random.default_rng(0))
    fresh, fresh_labels = clouds(5000, seed=2)
    at_home = hits(fresh, fresh_labels, head.parameters).mean()
    anchored, free = [], []
    for seed in range(5):
        few, few_labels = clouds(24, seed=100 + seed)
        for kept, config in ((anchored, TrainingConfig()), (free, TrainingConfig(anchored=False))):
            chosen = dataclasses.replace(config, patience=None)
            l2 = probe(few, few_labels, head.parameters, seed, anchored=config.anchored).l2
            problem = pose_problem(few, few_labels, head.parameters, l2, chosen)
            tuned = train_head(problem, problem.anchor, chosen, np.random.default_rng(0))
            kept.append(hits(fresh, fresh_labels, tuned.parameters).mean())
    assert np.mean(anchored) > at_home - 0.04
    assert np.mean(anchored) > np.mean(free) + 0.05


def test_replayed_samples_are_not_counted():
    rows, labels = clouds(300)
    is_new = np.arange(300) < 100
    assert probe(rows, labels, is_new=is_new).judged == 100


@pytest.mark.parametrize("samples", [100, 1300, 3000])
def test_no_more_folds_are_judged_than_the_interval_needs(samples):
    predicted = probe(*clouds(samples))
    a_fold = -(-min(samples, MOST_SAMPLES) // FOLDS)
    assert predicted.judged <= min(samples, ENOUGH_JUDGED + a_fold)
    assert predicted.interval == wilson_interval(round(predicted.accuracy * predicted.judged), predicted.judged)


def test_an_l2_that_is_given_is_kept_and_one_that_is_chosen_shrinks_with_the_samples_it_was_not_chosen_on():
    assert probe(*clouds(200), l2=0.07).l2 == 0.07
    assert probe(*clouds(200)).l2 in L2_PATH
    assert probe(*clouds(2 * MOST_SAMPLES)).l2 * 2 in L2_PATH


def test_the_same_seed_predicts_the_same():
    rows, labels = clouds(200)
    assert probe(rows, labels, seed=4) == probe(rows, labels, seed=4)
