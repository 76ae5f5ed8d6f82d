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
    return np.concatenate(
        [learning_rates(schedule, peak, course, e, history[:e]) for e in range(1, course.epochs + 1)]
    )


def test_the_step_schedule_is_piecewise_constant_over_the_whole_training():
    course = Course(8, 25, 0)
    expected = np.piecewise(np.arange(200.0), [np.arange(200) < 100, np.arange(200) >= 150], [0.3, 0.003, 0.03])
    np.testing.assert_allclose(whole("step", course, 0.3), expected, rtol=1e-6)


def test_steps_fall_inside_an_epoch_where_half_of_the_training_does():
    np.testing.assert_allclose(whole("step", Course(1, 4, 0)), [1, 1, 0.1, 0.01], rtol=1e-6)


def test_the_cosine_is_the_formula_from_the_end_of_the_warm_up():
    course = Course(5, 20, 10)
    rest = np.linspace(0, np.pi, 90, endpoint=False)
    falling = LAST_RATE + (1 - LAST_RATE) * (1 + np.cos(rest)) / 2
    expected = np.concatenate([np.arange(1, 11) / 10, falling])
    np.testing.assert_allclose(whole("cosine", course), expected, rtol=1e-5)


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


def test_an_unknown_schedule_is_one_clear_line():
    with pytest.raises(InputError, match="unknown schedule 'linear'; known: cosine, constant, step, plateau"):
        learning_rates("linear", 1.0, Course(1, 1, 0), 1, records([]))


def test_the_share_of_the_warm_up_is_of_all_steps():
    assert warm_up_steps(0.05, 30, 56) == math.ceil(84)
    assert warm_up_steps(0.0, 30, 56) == 0
