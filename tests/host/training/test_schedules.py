import math

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training import EpochRecord
from edge_cnn.host.training.schedules import (
    LAST_RATE,
    PLATEAU_FACTOR,
    PLATEAU_PATIENCE,
    Course,
    learning_rates,
    warm_up_steps,
)


def records(val_losses):
    """The untrained network, and an epoch for each loss."""
    return tuple(EpochRecord(i, 1.0, loss, 0.5, 0.5, 0.1) for i, loss in enumerate([9.0, *val_losses]))


def whole(schedule, course, peak=1.0, val_losses=()):
    """Rates of all steps of all epochs, float32 (epochs * steps,)."""
    losses = [*val_losses, *([0.0] * course.epochs)]
    history = records(losses)
    return np.concatenate([learning_rates(schedule, peak, course, e, history[:e]) for e in range(1, course.epochs + 1)])


def test_the_step_schedule_is_piecewise_constant_over_the_whole_training():
    course = Course(8, 25, 0)
    expected = np.piecewise(np.arange(200.0), [np.arange(200) < 100, np.arange(200) >= 150], [0.3, 0.003, 0.03])
    np.testing.assert_allclose(whole("step", course, 0.3), expected, rtol=1e-6)


def test_steps_fall_inside_an_epoch_where_half_of_the_training_does():
    np.testing.assert_allclose(whole("step", Course(1, 4, 0)), [1, 1, 0.1, 0.01], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "step", "plateau", "cosine"])
def test_the_warm_up_rises_linearly_to_the_peak_and_nothing_passes_it(schedule):
    course = Course(10, 10, warm_up_steps(0.1, 10, 10))
    rates = whole(schedule, course, 0.5)
    np.testing.assert_allclose(rates[:10], 0.05 * np.arange(1, 11), rtol=1e-6)
    assert rates.max() == pytest.approx(0.5)
    assert (rates > 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_plateau_is_what_keras_reduces_on_the_same_losses(seed):
    import keras

    rng = np.random.default_rng(seed)
    val_losses = np.abs(1 / (1 + np.arange(40)) + rng.normal(0, 0.15, 40)).tolist()
    peak = 0.25
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(peak), "mse")
    oracle = keras.callbacks.ReduceLROnPlateau(
        factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, min_delta=0.0, min_lr=peak * LAST_RATE
    )
    oracle.set_model(model)
    oracle.on_train_begin()
    expected = []
    for epoch, loss in enumerate(val_losses):
        expected.append(float(model.optimizer.learning_rate))
        oracle.on_epoch_end(epoch, {"val_loss": loss})
    course = Course(40, 3, 0)
    rates = whole("plateau", course, peak, val_losses).reshape(40, 3)
    np.testing.assert_allclose(rates[:, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(rates, rates[:, :1].repeat(3, axis=1))
    assert len(set(expected)) > 2


def test_the_plateau_needs_nothing_but_the_history():
    course, losses = Course(30, 2, 0), [1.0] * 30
    history = records(losses)
    late = learning_rates("plateau", 1.0, course, 20, history[:20])
    # What comes later changes nothing: the rate of an epoch is a function of the epochs before it.
    np.testing.assert_array_equal(late, learning_rates("plateau", 1.0, course, 20, history))
    # The first epoch is the lowest; 18 follow, so that the rate was lowered four times, to the floor.
    assert late[0] == pytest.approx(max(PLATEAU_FACTOR ** ((20 - 2) // PLATEAU_PATIENCE), LAST_RATE))


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine():
    course = Course(10, 100, warm_up_steps(0.05, 10, 100))
    rates = np.concatenate([learning_rates("cosine", 0.5, course, epoch, ()) for epoch in range(1, 11)])
    assert rates[0] == pytest.approx(0.01)
    assert rates[24] == pytest.approx(0.25)
    assert rates[49] == rates[50] == pytest.approx(0.5)
    for step in (200, 525, 900):
        cosine = (1 + math.cos(math.pi * (step - 50) / 950)) / 2
        assert rates[step] == pytest.approx(0.5 * (LAST_RATE + (1 - LAST_RATE) * cosine), rel=1e-5)
    assert rates[-1] == pytest.approx(0.5 * LAST_RATE, rel=0.01)


def test_a_constant_rate_rises_and_stays():
    course = Course(2, 10, 4)
    rates = np.concatenate([learning_rates("constant", 1.0, course, epoch, ()) for epoch in (1, 2)])
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75] + [1.0] * 17)


def test_a_training_of_one_step_has_a_rate_too():
    assert learning_rates("cosine", 0.1, Course(1, 1, 1), 1, ()).tolist() == pytest.approx([0.1])


def test_an_unknown_schedule_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="unknown schedule 'moon'; known: cosine, constant"):
        learning_rates("moon", 0.1, Course(1, 1, 1), 1, ())
