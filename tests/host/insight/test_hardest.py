"""The samples with the largest losses, against Keras' own losses."""

import keras
import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.insight.hardest import hardest, sample_losses

SCORES = np.array([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9], [0.3, 0.4, 0.3], [1.0, 0.0, 0.0]], np.float32)
LABELS = np.array([0, 1, 2, 0])


def test_cross_entropy_is_that_of_keras():
    losses = keras.losses.SparseCategoricalCrossentropy(reduction=None)(LABELS, SCORES)
    assert sample_losses(SCORES, LABELS) == pytest.approx(np.asarray(losses), rel=1e-5, abs=1e-6)


def test_squared_error_is_the_brier_score_of_keras_summed_over_the_classes():
    losses = 3 * np.asarray(keras.losses.MeanSquaredError(reduction=None)(np.eye(3)[LABELS], SCORES))
    assert sample_losses(SCORES, LABELS, "squared-error") == pytest.approx(losses, rel=1e-5)


def test_the_largest_loss_stands_first_and_an_impossible_truth_has_a_finite_one():
    losses = sample_losses(SCORES, np.array([0, 1, 2, 1]))
    assert hardest(losses, 3).tolist() == [3, 1, 2]
    assert np.isfinite(losses).all()
    assert losses[3] > 80
    assert hardest(losses, 9).tolist() == [3, 1, 2, 0]


def test_an_objective_without_classes_is_refused():
    with pytest.raises(InputError, match="reconstruction has no scores of classes"):
        sample_losses(SCORES, LABELS, "reconstruction")
