import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.device.head.softmax_head import SoftmaxHead, log_softmax, softmax
from edge_cnn.device.training.embedding_rows import dense_rows
from edge_cnn.device.training.head_training import TrainingConfig, to_parameters, train_head
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings
from edge_cnn.device.training.optimizers.table import OPTIMIZERS
from edge_cnn.device.training.problem import HeadProblem
from edge_cnn.device.training.standardization import fit_standardization

L2 = 1e-2


def problem(n=200, features=8, classes=4, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centres = rng.normal(0, 1.5, (classes, features))
    embeddings = (centres[labels] + rng.normal(0, 1.5, (n, features))).astype(dtype)
    head = SoftmaxHead(rng.normal(0, 0.5, (classes, features)).astype(dtype), rng.normal(0, 0.5, classes).astype(dtype))
    return embeddings, labels, head


def flat(head: SoftmaxHead) -> np.ndarray:
    return np.concatenate([head.weights.ravel(), head.bias])


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_matches_finite_differences(seed):
    embeddings, labels, head = problem(n=40, seed=seed)
    analytic = flat(head.gradient(embeddings, labels, L2))
    parameters, step = flat(head), 1e-6

    def loss(p: np.ndarray) -> float:
        return SoftmaxHead(p[: head.weights.size].reshape(head.weights.shape), p[head.weights.size :]).loss(
            embeddings, labels, L2
        )

    numeric = np.array(
        [(loss(parameters + step * e) - loss(parameters - step * e)) / (2 * step) for e in np.eye(len(parameters))]
    )
    assert np.linalg.norm(analytic - numeric) / np.linalg.norm(numeric) < 1e-5


def test_a_step_goes_down_the_gradient():
    embeddings, labels, head = problem()
    stepped = head.step(embeddings, labels, 0.1, L2)
    np.testing.assert_allclose(flat(stepped), flat(head) - 0.1 * flat(head.gradient(embeddings, labels, L2)))
    assert stepped.loss(embeddings, labels, L2) < head.loss(embeddings, labels, L2)


def test_huge_logits_do_not_overflow():
    logits = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    np.testing.assert_array_equal(softmax(logits), [[1, 0], [0, 1]])
    assert np.isfinite(log_softmax(logits)).all()


def sklearn_optimum(embeddings: np.ndarray, labels: np.ndarray, l2: float) -> float:
    from sklearn.linear_model import LogisticRegression

    # The bias is a feature that is always 1, so that scikit-learn puts the same L2 on it.
    wide = np.hstack([embeddings, np.ones((len(embeddings), 1))]).astype(np.float64)
    model = LogisticRegression(C=1 / (l2 * len(labels)), fit_intercept=False, tol=1e-8, max_iter=10_000)
    model.fit(wide, labels)
    return SoftmaxHead(model.coef_[:, :-1], model.coef_[:, -1]).loss(embeddings.astype(np.float64), labels, l2)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("seed", range(3))
def test_trained_to_convergence_the_loss_is_within_one_percent_of_scikit_learns_optimum(name, seed):
    embeddings, labels, head = problem(n=600, features=32, classes=6, seed=seed, dtype=np.float32)
    standard = fit_standardization(embeddings)
    z = standard.apply(embeddings)
    config = TrainingConfig(name, OptimizerSettings(passes=300), patience=None)
    posed = HeadProblem(dense_rows(z), labels, np.zeros((6, 33), np.float32), 1e-3)
    start = to_parameters(standard.head_to_standardized(head))
    trained = train_head(posed, start, config, np.random.default_rng(seed))
    optimum = sklearn_optimum(z, labels, 1e-3)
    assert optimum * (1 - 1e-6) <= trained.head.loss(z, labels, 1e-3) <= optimum * 1.01


def test_standardizing_and_folding_back_changes_no_probability():
    embeddings, _, head = problem()
    embeddings[:, 0] = 3.0  # a dead feature
    standard = fit_standardization(embeddings)
    there = standard.head_to_standardized(head)
    np.testing.assert_allclose(there.logits(standard.apply(embeddings)), head.logits(embeddings), atol=1e-4)
    back = standard.head_to_raw(there)
    np.testing.assert_allclose(softmax(back.logits(embeddings)), softmax(head.logits(embeddings)), atol=1e-6)
    assert abs(back.bias.sum()) < 1e-9


@pytest.mark.parametrize("name", ["sgd", "quasi-newton"])
def test_early_stopping_keeps_the_pass_with_the_lowest_held_out_loss(name):
    embeddings, labels, _ = problem(n=40, features=60, dtype=np.float32)
    # Labels that mean nothing: whatever the head learns of them makes the held-out loss worse.
    labels = np.random.default_rng(1).permutation(labels)
    rows, zero = dense_rows(embeddings), np.zeros((4, 61), np.float32)
    held = np.arange(30, 40)
    config = TrainingConfig(name, OptimizerSettings(passes=400, tolerance=1e-9), patience=5)
    posed = HeadProblem(rows.select(np.arange(30)), labels[:30], zero, 1e-6)
    # A start that is worse than a pass or two.
    start = np.random.default_rng(2).normal(0, 1, zero.shape).astype(np.float32)
    trained = train_head(posed, start, config, np.random.default_rng(0), (rows.select(held), labels[held]))
    losses = [epoch.holdout_loss for epoch in trained.history]
    assert len(losses) < 400
    assert min(losses) < losses[-1]
    assert trained.head.loss(embeddings[held], labels[held], 0.0) == pytest.approx(min(losses))


@pytest.mark.parametrize(
    "bad",
    [
        {"settings": {"passes": 0}},
        {"settings": {"batch_size": 0}},
        {"settings": {"learning_rate": 0.0}},
        {"settings": {"learning_rate": -1.0}},
        {"settings": {"momentum": 1.0}},
        {"settings": {"tolerance": 0.0}},
        {"l2": 0.0},
        {"smoothing": 1.0},
        {"patience": 0},
    ],
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(InputError, match="fine-tuning"):
        TrainingConfig(**{**bad, "settings": OptimizerSettings(**bad.get("settings", {}))})


@pytest.mark.parametrize("name", ["auto", "sgd", "accelerated"])
def test_a_learning_rate_is_taken_by_all_but_the_optimizer_that_would_not_use_it(name):
    settings = OptimizerSettings(learning_rate=0.1)
    assert TrainingConfig(name, settings).settings.learning_rate == 0.1
    with pytest.raises(InputError, match=r"got a learning rate of 0\.1; leave it out, or choose another optimizer"):
        TrainingConfig("quasi-newton", settings)


def test_no_samples_are_refused():
    zero = np.zeros((2, 4), np.float32)
    posed = HeadProblem(dense_rows(np.empty((0, 3))), np.empty(0, np.int64), zero, 1e-3)
    with pytest.raises(InputError, match="at least one"):
        train_head(posed, zero, TrainingConfig(), np.random.default_rng(0))


@pytest.mark.parametrize("rows", [1, 255, 256, 1000])
def test_the_statistics_of_codes_read_in_blocks_are_those_of_all(rows):
    rng = np.random.default_rng(rows)
    codes = rng.integers(-128, 128, (rows, 5)).astype(np.int8)
    fitted = fit_standardization(codes, lambda block: 1e6 + 0.1 * block.astype(np.float64))
    np.testing.assert_allclose(fitted.mean, 1e6 + 0.1 * codes.mean(axis=0, dtype=np.float64), rtol=1e-12)
    deviations = 0.1 * codes.std(axis=0, dtype=np.float64)
    floor = 0.1 * np.sqrt((deviations**2).mean()) or 1.0
    np.testing.assert_allclose(fitted.scale, np.maximum(deviations, floor), rtol=1e-6)
