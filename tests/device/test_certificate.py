"""The bound on the distance to the optimum, against a float64 solution by Newton's method."""

import numpy as np
import pytest

from edge_cnn.device.training.certificate import loss_gap_bound
from edge_cnn.device.training.head_training import TrainingConfig, train_head
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings
from tests.device.softmax_oracle import random_problem

ROUNDING = 1e-14
"""Losses near 1 are known to no better than this."""


@pytest.mark.parametrize("seed", range(200))
def test_the_bound_holds_far_from_the_optimum_near_it_and_at_it(seed):
    problem, oracle = random_problem(seed)
    optimum = oracle.solve()
    least = oracle.loss(optimum)
    rng = np.random.default_rng(seed)
    trained = train_head(problem, problem.anchor, TrainingConfig(patience=None), rng).parameters
    for distance in (3.0, 1.0, 1e-2, 1e-4):
        somewhere = optimum + distance * rng.normal(0, 1, optimum.shape)
        gap = oracle.loss(somewhere) - least
        assert gap + ROUNDING >= 0
        assert gap <= loss_gap_bound(problem, somewhere) + ROUNDING
    for parameters in (trained, problem.anchor, optimum):
        assert oracle.loss(parameters.astype(float)) - least <= loss_gap_bound(problem, parameters) + ROUNDING


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_is_computed_from_the_true_gradient(seed):
    problem, oracle = random_problem(seed)
    v = np.random.default_rng(seed).normal(0, 1, problem.anchor.shape)
    loss, gradient = problem.exact_value_and_gradient(v)
    assert loss == pytest.approx(oracle.loss(v), rel=1e-12)
    np.testing.assert_allclose(gradient, oracle.gradient(v), rtol=1e-10, atol=1e-13)
    assert loss_gap_bound(problem, v) == pytest.approx((oracle.gradient(v) ** 2).sum() / (2 * oracle.l2), rel=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_a_full_batch_descent_that_ends_by_itself_is_proven_to_be_as_near_as_was_asked(seed):
    problem, oracle = random_problem(seed)
    config = TrainingConfig("quasi-newton", OptimizerSettings(passes=500, tolerance=1e-3), patience=None)
    trained = train_head(problem, problem.anchor, config, np.random.default_rng(0))
    assert trained.steps < 500
    least = oracle.loss(oracle.solve())
    assert oracle.loss(trained.parameters.astype(float)) <= least * (1 + 1.01e-3)
