import numpy as np
import pytest

from edge_cnn.device.certificate import loss_gap_bound
from edge_cnn.device.head_training import SgdConfig, smoothness, train_head
from edge_cnn.device.softmax_head import SoftmaxHead, log_softmax, softmax
from edge_cnn.device.standardization import fit_standardization

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


@pytest.mark.parametrize("seed", range(3))
def test_trained_to_convergence_the_loss_is_within_one_percent_of_scikit_learns_optimum(seed):
    embeddings, labels, head = problem(n=600, features=32, classes=6, seed=seed, dtype=np.float32)
    standard = fit_standardization(embeddings)
    z = standard.apply(embeddings)
    config = SgdConfig(epochs=300, l2=1e-3, patience=None)
    trained = train_head(standard.head_to_standardized(head), z, labels, config, np.random.default_rng(seed))
    optimum = sklearn_optimum(z, labels, config.l2)
    loss = trained.head.loss(z, labels, config.l2)
    assert optimum * (1 - 1e-6) <= loss <= optimum * 1.01


@pytest.mark.parametrize("seed", range(20))
def test_the_certificate_bounds_the_distance_to_the_optimum(seed):
    embeddings, labels, head = problem(n=150, seed=seed)
    gap = head.loss(embeddings, labels, L2) - sklearn_optimum(embeddings, labels, L2)
    assert 0 <= gap <= loss_gap_bound(head, embeddings, labels, L2)


def test_the_smoothness_bounds_the_true_curvature():
    embeddings, labels, head = problem(n=60, features=3, classes=3)
    parameters, step = flat(head), 1e-4

    def gradient(p: np.ndarray) -> np.ndarray:
        moved = SoftmaxHead(p[:9].reshape(3, 3), p[9:])
        return flat(moved.gradient(embeddings, labels, L2))

    hessian = np.array(
        [(gradient(parameters + step * e) - gradient(parameters - step * e)) / (2 * step) for e in np.eye(12)]
    )
    assert np.linalg.eigvalsh((hessian + hessian.T) / 2).max() <= smoothness(embeddings, L2)


def test_standardizing_and_folding_back_changes_no_probability():
    embeddings, _, head = problem()
    embeddings[:, 0] = 3.0  # a dead feature
    standard = fit_standardization(embeddings)
    there = standard.head_to_standardized(head)
    np.testing.assert_allclose(there.logits(standard.apply(embeddings)), head.logits(embeddings), atol=1e-4)
    back = standard.head_to_raw(there)
    np.testing.assert_allclose(softmax(back.logits(embeddings)), softmax(head.logits(embeddings)), atol=1e-6)
    assert abs(back.bias.sum()) < 1e-9


def test_the_same_seed_gives_the_same_head_bit_for_bit():
    embeddings, labels, head = problem(dtype=np.float32)
    runs = [train_head(head, embeddings, labels, SgdConfig(epochs=5), np.random.default_rng(s)).head for s in (3, 3, 4)]
    assert runs[0].weights.tobytes() == runs[1].weights.tobytes() != runs[2].weights.tobytes()


def test_early_stopping_keeps_the_epoch_with_the_lowest_held_out_loss():
    embeddings, labels, _ = problem(n=40, features=60, dtype=np.float32)
    # Labels that mean nothing: whatever the head learns of them makes the held-out loss worse.
    labels = np.random.default_rng(1).permutation(labels)
    start = SoftmaxHead(np.zeros((4, 60), np.float32), np.zeros(4, np.float32))
    held, held_labels = embeddings[30:], labels[30:]
    config = SgdConfig(epochs=400, patience=5, l2=1e-6)
    trained = train_head(start, embeddings[:30], labels[:30], config, np.random.default_rng(0), (held, held_labels))
    losses = [epoch.holdout_loss for epoch in trained.history]
    assert len(losses) < 400
    assert trained.head.loss(held, held_labels, config.l2) == pytest.approx(min(losses))


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"momentum": 1.0},
        {"l2": 0.0},
        {"patience": 0},
    ],
)
def test_impossible_settings_are_refused(bad):
    from edge_cnn.core.errors import InputError

    with pytest.raises(InputError, match="fine-tuning"):
        SgdConfig(**bad)


def test_a_learning_rate_that_diverges_is_said():
    from edge_cnn.core.errors import InputError

    embeddings, labels, head = problem(dtype=np.float32)
    with pytest.raises(InputError, match="diverged"):
        train_head(head, embeddings, labels, SgdConfig(learning_rate=1e30), np.random.default_rng(0))
