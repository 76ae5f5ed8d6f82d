import math

import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.optimizers import LAST_RATE, OPTIMIZERS, find_optimizer, make_optimizer


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine():
    schedule = make_optimizer("adam", 0.5, 1000)._learning_rate
    assert float(schedule(0)) == 0
    assert float(schedule(25)) == pytest.approx(0.25)
    assert float(schedule(50)) == pytest.approx(0.5)
    for step in (200, 525, 900):
        cosine = (1 + math.cos(math.pi * (step - 50) / 950)) / 2
        assert float(schedule(step)) == pytest.approx(0.5 * (LAST_RATE + (1 - LAST_RATE) * cosine), rel=1e-5)
    assert float(schedule(1000)) == pytest.approx(0.5 * LAST_RATE)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_training_of_one_step_has_a_schedule_too(name):
    optimizer = make_optimizer(name, OPTIMIZERS[name].learning_rate, 1)
    assert math.isfinite(float(optimizer.learning_rate))


def test_an_unknown_optimizer_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="unknown optimizer 'lion'; known: adam, adamw, sgd, rmsprop"):
        find_optimizer("lion")
