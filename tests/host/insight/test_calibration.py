"""Calibration, against scikit-learn, against scipy, and against scores that are drawn from known chances."""

import numpy as np
import pytest

from edge_cnn.host.insight.calibration import fit_temperature, measure_calibration, tempered


def drawn(count, temperature=1.0, classes=4, seed=0):
    """Logits of a network, and labels that are as likely as the logits divided by `temperature` say."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(count, classes))
    chances = tempered(logits, temperature)
    labels = (rng.random((count, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


@pytest.mark.parametrize("bins", [15, 10])
def test_bins_are_those_of_scikit_learn(bins):
    from sklearn.calibration import calibration_curve

    logits, labels = drawn(500)
    scores = tempered(logits, 1)
    found = measure_calibration(scores, labels, bins=bins)
    right = scores.argmax(axis=1) == labels
    accuracies, confidences = calibration_curve(right, scores.max(axis=1), n_bins=bins)
    some = found.counts > 0
    assert found.accuracies[some] == pytest.approx(accuracies)
    assert found.confidences[some] == pytest.approx(confidences)
    assert np.isnan(found.accuracies[~some]).all()
    assert found.error == pytest.approx(np.sum(found.counts[some] * np.abs(accuracies - confidences)) / 500)
    assert (found.accuracy, found.confidence) == pytest.approx((right.mean(), scores.max(axis=1).mean()))


def test_an_error_by_hand():
    """Four answers at 0.9, half right; one at 0.6, right: (4 * 0.4 + 1 * 0.4) / 5."""
    scores = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    assert measure_calibration(scores, np.array([0, 0, 1, 1, 0])).error == pytest.approx(0.4)


def test_full_confidence_belongs_to_the_last_bin():
    assert measure_calibration(np.array([[1.0, 0.0]]), np.array([0])).counts.tolist() == [0] * 14 + [1]


def test_honest_confidence_stays_below_what_luck_explains_and_inflated_does_not():
    honest = [measure_calibration(tempered(drawn(300, seed=s)[0], 1), drawn(300, seed=s)[1]) for s in range(40)]
    assert sum(c.error <= c.luck for c in honest) >= 34  # 38 expected
    logits, labels = drawn(300, temperature=2)
    inflated = measure_calibration(tempered(logits, 1), labels)
    assert inflated.error > 1.5 * inflated.luck
    assert inflated.confidence > inflated.accuracy


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_of_drawn_labels_is_found(truth):
    assert fit_temperature(*drawn(20_000, truth)) == pytest.approx(truth, rel=0.05)


def test_the_temperature_is_where_scipy_finds_the_least_cross_entropy():
    from scipy.optimize import minimize_scalar

    logits, labels = drawn(200, 1.7)

    def cross_entropy(temperature):
        return -np.log(tempered(logits, temperature)[np.arange(200), labels]).mean()

    least = minimize_scalar(cross_entropy, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits, labels) == pytest.approx(least.x, rel=1e-4)


def test_logarithms_of_scores_do_as_well_as_logits():
    logits, labels = drawn(200, 1.7)
    assert fit_temperature(np.log(tempered(logits, 1)), labels) == pytest.approx(fit_temperature(logits, labels))


def test_without_a_mistake_there_is_no_best_temperature_and_with_mistakes_alone_neither():
    logits = np.array([[3.0, 0.0], [0.0, 2.0]])
    assert fit_temperature(logits, np.array([0, 1])) is None
    assert fit_temperature(logits, np.array([1, 0])) is None


def test_a_temperature_changes_no_answer():
    logits, _ = drawn(100)
    assert np.array_equal(tempered(logits, 3).argmax(axis=1), logits.argmax(axis=1))
