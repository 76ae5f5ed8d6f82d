"""Every optimizer on the same problems, against a float64 solution by Newton's method."""

import dataclasses
import itertools
import re

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.device.training.embedding_rows import CodeRows, dense_rows
from edge_cnn.device.training.head_training import TrainingConfig, balancing_weights, train_head
from edge_cnn.device.training.optimizers.adam_warm_up import FAR, REACH, batch_stride
from edge_cnn.device.training.optimizers.curvature import smoothness
from edge_cnn.device.training.optimizers.feature_curvature import is_worth_it
from edge_cnn.device.training.optimizers.line_search import least_along
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings
from edge_cnn.device.training.optimizers.table import OPTIMIZERS, choose_optimizer
from edge_cnn.device.training.problem import HeadProblem
from tests.device.softmax_oracle import Oracle, random_problem

NAMES = sorted(OPTIMIZERS)


def train(problem: HeadProblem, name: str, passes: int = 400, seed: int = 0, **settings):
    config = TrainingConfig(name, OptimizerSettings(passes=passes, **settings), patience=None)
    return train_head(problem, problem.anchor, config, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_comes_within_one_percent_of_the_optimum(name, seed):
    problem, oracle = random_problem(seed)
    least = oracle.loss(oracle.solve())
    loss = oracle.loss(train(problem, name).parameters.astype(float))
    assert least * (1 - 1e-12) <= loss <= least * 1.01


@pytest.mark.parametrize("name", ["quasi-newton", "accelerated"])
def test_a_full_batch_optimizer_goes_down_to_the_rounding_of_float32(name):
    problem, oracle = random_problem(3)
    v = train(problem, name, passes=3000, tolerance=1e-9).parameters
    assert np.abs(v - oracle.solve()).max() < 1e-3


@pytest.mark.parametrize("seed", range(10))
def test_the_quasi_newton_loss_never_rises(seed):
    problem, _ = random_problem(seed)
    losses = [epoch.loss for epoch in train(problem, "quasi-newton", tolerance=1e-6).history]
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(losses))


@pytest.mark.parametrize("name", ["quasi-newton", "accelerated"])
def test_the_reported_loss_is_the_loss(name):
    problem, oracle = random_problem(1)
    seen = OPTIMIZERS[name](problem, problem.anchor, OptimizerSettings(passes=5), np.random.default_rng(0))
    passes = list(seen)
    if name == "accelerated":
        # Told is the loss where the gradient was taken, a step of momentum ahead of where the pass ended before.
        assert passes[0].loss == pytest.approx(oracle.loss(problem.anchor.astype(float)), rel=1e-5)
    else:
        for one in passes:
            assert one.loss == pytest.approx(oracle.loss(one.parameters.astype(float)), rel=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_mini_batches_report_the_loss_with_its_weights_and_smoothing(seed):
    problem, oracle = random_problem(seed)
    still = OptimizerSettings(passes=1, learning_rate=1e-9)
    (only,) = OPTIMIZERS["sgd"](problem, problem.anchor, still, np.random.default_rng(0))
    assert only.loss == pytest.approx(oracle.loss(problem.anchor.astype(float)), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes(name):
    problem, _ = random_problem(5)
    first, second = (train(problem, name, passes=5, seed=3).parameters.tobytes() for _ in range(2))
    assert first == second
    if name == "sgd":
        assert train(problem, name, passes=5, seed=4).parameters.tobytes() != first


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_does_not_change_a_bit(name):
    rng = np.random.default_rng(0)
    rows, labels = dense_rows(rng.normal(0, 1, (3000, 400))), rng.integers(0, 5, 3000)
    heads = [
        train(HeadProblem(rows, labels, np.zeros((5, 401), np.float32), 1e-2, threads=threads), name, passes=3)
        for threads in (1, 2, 3)
    ]
    assert len({head.parameters.tobytes() for head in heads}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_codes_in_a_file_train_the_same_head_as_floats_in_memory(name, tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.integers(-128, 128, (700, 900)).astype(np.int8)
    labels = (codes[:, :4].astype(int).argmax(axis=1)).astype(np.int64)
    stored = np.lib.format.open_memmap(tmp_path / "codes.npy", "w+", np.int8, codes.shape)
    stored[:] = codes
    stored.flush()
    offset, factor = rng.normal(-20, 5, 900).astype(np.float32), rng.uniform(0.01, 0.02, 900).astype(np.float32)
    members = rng.permutation(700)[:600]
    streamed = CodeRows(np.load(tmp_path / "codes.npy", mmap_mode="r"), members, offset, factor)
    real = (codes[members].astype(np.float64) - offset) * factor
    zero = np.zeros((4, 901), np.float32)
    one, two = (
        train(HeadProblem(rows, labels[members], zero, 1e-2), name, passes=10) for rows in (streamed, dense_rows(real))
    )
    np.testing.assert_allclose(one.parameters, two.parameters, atol=2e-4)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
def test_products_with_codes_are_those_with_the_standardized_rows(dtype):
    rng = np.random.default_rng(0)
    low, high = (-100, 127) if dtype != np.uint8 else (0, 256)
    codes = rng.integers(low, high, (300, 40)).astype(dtype)
    offset, factor = rng.uniform(-128, 255, 40).astype(np.float32), rng.uniform(0.01, 0.5, 40).astype(np.float32)
    rows = CodeRows(codes, rng.permutation(300)[:250], offset, factor)
    assert (rows.codes_alone is not None) == (codes.dtype.itemsize == 1)
    problem = HeadProblem(rows, np.zeros(250, np.int64), np.zeros((3, 41), np.float32), 1e-3)
    parameters, residual = (rng.normal(0, 0.1, shape).astype(np.float32) for shape in ((3, 41), (3, 250)))
    z = np.ones((250, 41))
    z[:, :-1] = (codes[rows.members].astype(float) - offset) * factor
    np.testing.assert_allclose(problem.logits(parameters), parameters.astype(float) @ z.T, atol=1e-4)
    np.testing.assert_allclose(problem.back_project(residual), residual.astype(float) @ z, atol=1e-2)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_first_quasi_newton_step_on_many_samples_is_newtons(weighted):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    # Features that vary together: along the gradient alone there is a long way to go.
    embeddings = (rng.normal(0, 1, (4, 20))[labels] + rng.normal(0, 1, (400, 20))) @ rng.normal(0, 1, (20, 20))
    rows, zero = dense_rows(embeddings / embeddings.std(axis=0)), np.zeros((4, 21), np.float32)
    weights = balancing_weights(np.sort(labels)) if weighted else None
    problem = HeadProblem(rows, labels, zero, 1e-2, weights)
    oracle = Oracle(
        rows.values.astype(float), np.eye(4)[labels], np.ones(400) if weights is None else weights, zero * 1.0, 1e-2
    )
    newton = -np.linalg.solve(oracle.hessian(zero), oracle.gradient(zero).ravel()).reshape(zero.shape)
    first = next(iter(OPTIMIZERS["quasi-newton"](problem, zero, OptimizerSettings(), np.random.default_rng(0))))
    np.testing.assert_allclose(first.parameters, first.learning_rate * newton, atol=1e-4 * np.abs(newton).max())


@pytest.mark.parametrize("l2", [1e-12, 1e-3, 10.0])
def test_features_that_repeat_or_say_nothing_do_not_mislead_the_metric(l2):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    some = rng.normal(0, 1, (3, 8))[labels] + rng.normal(0, 2, (600, 8))
    rows = dense_rows(np.hstack([some, some, np.zeros((600, 3)), some[:, :1] * 1e3]))
    zero = np.zeros((3, 21), np.float32)
    problem = HeadProblem(rows, labels, zero, l2)
    assert is_worth_it(problem)
    trained = train(problem, "quasi-newton", passes=200, tolerance=1e-3)
    reached, _ = problem.exact_value_and_gradient(trained.parameters)
    slow, _ = problem.exact_value_and_gradient(descended_without_a_metric(problem))
    assert reached <= slow * 1.001


def descended_without_a_metric(problem: HeadProblem) -> np.ndarray:
    from scipy.optimize import minimize

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = problem.exact_value_and_gradient(flat.reshape(problem.anchor.shape))
        return value, gradient.ravel()

    found = minimize(value_and_gradient, problem.anchor.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return found.x.reshape(problem.anchor.shape)


def test_selected_rows_are_the_rows_selected():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (50, 6)).astype(np.uint8)
    rows = CodeRows(codes, np.arange(49, -1, -1), np.full(6, 3, np.float32), np.full(6, 0.5, np.float32))
    chosen = rows.select(np.array([4, 0, 7])).take(slice(1, 3))
    np.testing.assert_array_equal(chosen[:, :-1], (codes[[49, 42]].astype(float) - 3) * 0.5)
    np.testing.assert_array_equal(chosen[:, -1], 1)


@pytest.mark.parametrize("seed", range(10))
def test_the_smoothness_bounds_the_true_curvature_anywhere(seed):
    problem, oracle = random_problem(seed)
    largest = smoothness(problem)
    for spread in (0.0, 0.3, 3.0):
        v = np.random.default_rng(seed).normal(0, spread, problem.anchor.shape)
        assert np.linalg.eigvalsh(oracle.hessian(v)).max() <= largest


def test_the_step_along_a_direction_is_the_least_one():
    problem, oracle = random_problem(2, plain=True)
    v = -oracle.gradient(np.zeros(problem.anchor.shape)).astype(np.float32)
    step = least_along(
        problem.cross_entropy, np.zeros((problem.classes, problem.samples), np.float32), problem.logits(v)
    )
    free = [
        oracle.loss(t * step * v.astype(float)) - oracle.l2 / 2 * ((t * step * v) ** 2).sum() for t in (0.95, 1, 1.05)
    ]
    assert free[1] < min(free[0], free[2])


def test_a_balanced_class_pulls_as_hard_as_a_larger_one():
    labels = np.array([0] * 90 + [1] * 10)
    weights = balancing_weights(labels)
    assert weights.mean() == pytest.approx(1)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    rows = dense_rows(np.zeros((100, 1)))
    # Nothing but the bias can learn: unbalanced it learns the frequencies, balanced nothing.
    for given, expected in ((None, np.log(9)), (weights, 0.0)):
        bias = train(
            HeadProblem(rows, labels, np.zeros((2, 2), np.float32), 1e-6, given), "quasi-newton", tolerance=1e-6
        )
        assert bias.parameters[0, 1] - bias.parameters[1, 1] == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("times", [5.0, 14.0, 1e6])
@pytest.mark.parametrize("name", ["sgd", "accelerated"])
def test_a_step_that_diverges_is_told_in_words(name, times):
    problem, _ = random_problem(0, plain=True)
    momentum = 0.9 if name == "sgd" else 0.0
    # L2 alone makes the valley: each step goes across it and further up the other side.
    steep = dataclasses.replace(problem, l2=1e3)
    rate = times * 2 * (1 + momentum) / smoothness(steep)
    said = re.escape(f"the step is {times:.2g} times the largest stable one")
    with pytest.raises(InputError, match=rf"diverged at step \d+: {said}"):
        train(steep, name, learning_rate=rate, momentum=momentum, tolerance=1e-9)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", NAMES)
def test_the_default_step_never_counts_as_divergence(name, seed):
    problem, _ = random_problem(seed)
    start = np.random.default_rng(seed).normal(0, 10, problem.anchor.shape).astype(np.float32)
    settings = OptimizerSettings(passes=20)
    trained = train_head(problem, start, TrainingConfig(name, settings, patience=None), np.random.default_rng(0))
    assert np.isfinite(trained.parameters).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("passes", [3, 400])
def test_the_chosen_pass_is_the_one_that_the_parameters_are_of(name, passes):
    problem, _ = random_problem(2)
    classes, features = problem.anchor.shape
    rng = np.random.default_rng(0)
    # Held-out labels that have nothing to do with those trained on: the loss rises sooner or later.
    z, labels = rng.normal(size=(50, features - 1)), rng.integers(0, classes, 50)
    config = TrainingConfig(name, OptimizerSettings(passes=passes, tolerance=1e-6), patience=1)
    # From a bad start the loss falls at first.
    start = rng.normal(0, 3, problem.anchor.shape).astype(np.float32)
    trained = train_head(problem, start, config, rng, (dense_rows(z), labels))
    assert trained.chosen_pass > 0
    logits = trained.head.logits(z.astype(np.float32)).astype(float)
    loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(50), labels])
    assert trained.history[trained.chosen_pass - 1].holdout_loss == pytest.approx(loss, rel=1e-4)
    assert trained.chosen_pass == 1 + np.argmin([epoch.holdout_loss for epoch in trained.history])
    alone = train_head(problem, problem.anchor, config, rng)
    assert alone.chosen_pass == len(alone.history)


@pytest.mark.parametrize("name", NAMES)
def test_where_no_pass_does_better_on_held_out_samples_the_start_stays(name):
    problem, _ = random_problem(2)
    z = problem.rows.take(slice(0, 40))[:, :-1]
    # Held-out labels are what the start says, so that every change is for the worse.
    start = np.random.default_rng(1).normal(0, 3, problem.anchor.shape).astype(np.float32)
    labels = (np.hstack([z, np.ones((40, 1), np.float32)]) @ start.T).argmax(axis=1)
    config = TrainingConfig(name, OptimizerSettings(passes=50, tolerance=1e-6), patience=2)
    trained = train_head(problem, start, config, np.random.default_rng(0), (dense_rows(z), labels))
    assert trained.chosen_pass == 0
    np.testing.assert_array_equal(trained.parameters, start)


def test_auto_chooses_by_size_and_memory():
    def chosen(samples: int, features: int, classes: int, **settings) -> str:
        codes, one = np.broadcast_to(np.int8(0), (samples, features)), np.ones(features, np.float32)
        rows = CodeRows(codes, None, one, one)
        problem = HeadProblem(rows, np.zeros(samples, np.int64), np.zeros((classes, features + 1), np.float32), 1e-3)
        return choose_optimizer("auto", problem, OptimizerSettings(**settings))

    assert chosen(2000, 64, 10) == "quasi-newton"
    assert chosen(5000, 1280, 100) == "quasi-newton"
    assert chosen(5000, 1280, 100, memory=2**20) == "accelerated"
    assert chosen(100_000, 64, 10) == "sgd"
    assert chosen(2000, 64, 10, learning_rate=0.1) == "sgd"


def test_an_unknown_optimizer_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="unknown optimizer 'adam'; known: auto, quasi-newton, accelerated, sgd"):
        TrainingConfig("adam")


def warmed_problem(**others) -> HeadProblem:
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 3, 2400))  # by class, as a folder is read
    rows = dense_rows(rng.normal(0, 1, (3, 300))[labels] * 0.1 + rng.normal(0, 1, (2400, 300)))
    anchor = rng.normal(0, 0.01, (3, 301)).astype(np.float32)
    problem = HeadProblem(rows, labels, anchor, 1e-2, balancing_weights(labels), 0.05)
    return dataclasses.replace(problem, **others)


def test_a_large_problem_is_warmed_up_on_mini_batches_and_ends_at_the_same_optimum():
    problem = warmed_problem()
    start = problem.anchor
    seen = list(OPTIMIZERS["quasi-newton"](problem, start, OptimizerSettings(tolerance=1e-4), np.random.default_rng(0)))
    assert [one.warm_up for one in seen[:5]] == [True, True, True, False, False]
    assert [one.steps for one in seen] == [4, 8, 12, *range(13, 10 + len(seen))]
    losses = [problem.exact_value_and_gradient(v)[0] for v in (start, *(one.parameters for one in seen[:3]))]
    assert losses == sorted(losses, reverse=True)
    _, gradient = problem.exact_value_and_gradient(seen[-1].parameters)
    assert (gradient**2).sum() / (2 * problem.l2) < 1e-3


@pytest.mark.parametrize("passes", [1, 2, 3, 4, 7])
def test_there_are_never_more_passes_than_asked_for_in_a_warm_up_or_after_it(passes):
    trained = train(warmed_problem(), "quasi-newton", passes=passes, tolerance=1e-9)
    assert len(trained.history) == passes


def test_a_start_that_was_trained_already_is_not_warmed_up():
    problem = warmed_problem()
    trained = train(problem, "quasi-newton").parameters
    stronger = dataclasses.replace(problem, l2=2e-2)
    settings = OptimizerSettings()
    first = next(iter(OPTIMIZERS["quasi-newton"](stronger, trained, settings, np.random.default_rng(0))))
    assert not first.warm_up
    assert stronger.exact_value_and_gradient(first.parameters)[0] < stronger.exact_value_and_gradient(trained)[0]


def test_a_model_head_that_is_right_about_most_samples_is_not_warmed_up():
    problem = warmed_problem()
    known = train(problem, "quasi-newton").parameters
    for share, warmed in ((0.0, True), (1.0, False)):
        anchored = dataclasses.replace(problem, anchor=share * known)
        start, _ = anchored.exact_value_and_gradient(anchored.anchor)
        assert (start > FAR * np.log(3)) == warmed
        assert train(anchored, "quasi-newton", passes=1, tolerance=1e-9).steps == (4 if warmed else 1)


def test_the_mini_batches_of_a_warm_up_take_adams_steps():
    """Kingma and Ba 2015, algorithm 1, in float64, on every 29th sample."""
    problem = warmed_problem()
    z, targets = problem.rows.values.astype(float), np.eye(3)[problem.labels] * 0.95 + 0.05 / 3
    anchor = problem.anchor.astype(float)
    parameters, first, second = anchor.copy(), np.zeros_like(anchor), np.zeros_like(anchor)
    for step in range(12):
        part = slice(step, None, 29)
        assert problem.weights is not None
        oracle = Oracle(z[part], targets[part], problem.weights[part], anchor, problem.l2)
        gradient = oracle.gradient(parameters)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        parameters -= REACH / 301 * corrected[0] / np.sqrt(corrected[1])
    trained = train(problem, "quasi-newton", passes=3).parameters
    # A parameter whose first gradient is 0 but for rounding may go either way by it; there are few.
    assert np.mean(np.abs(trained - parameters) > 1e-4) < 0.01


def test_labels_that_go_round_in_a_circle_do_not_leave_a_batch_with_one_class():
    for samples, features in ((1000, 200), (2000, 1280), (3000, 300), (5000, 1280)):
        for period in (2, 5, 10, 20):
            codes, one = np.broadcast_to(np.int8(0), (samples, features)), np.ones(features, np.float32)
            labels, zero = np.arange(samples) % period, np.zeros((period, features + 1), np.float32)
            problem = HeadProblem(CodeRows(codes, None, one, one), labels, zero, 1e-3)
            batch = problem.labels[:: batch_stride(problem)]
            assert 40 < len(batch) <= 100
            assert len(np.unique(batch)) == period
