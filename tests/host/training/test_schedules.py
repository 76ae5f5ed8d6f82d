import math

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.schedules import LAST_RATE, Course, learning_rates, warm_up_steps


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
