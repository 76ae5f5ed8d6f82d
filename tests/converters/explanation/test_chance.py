from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest

from converters.explanation.chance import within_chance


def test_the_test_is_the_sum_over_all_draws():
    # All 2^6 outcomes of six samples, each lost with probability 1/10, in exact fractions.
    rate = Fraction(1, 10)
    for lost in range(7):
        draws = (sum(draw) for draw in product((0, 1), repeat=6))
        tail = sum(rate**n * (1 - rate) ** (6 - n) for n in draws if n >= lost)
        assert within_chance(lost / 6, 6, 0.1) == (tail >= Fraction(1, 20))


@pytest.mark.parametrize(
    ("lost", "samples", "bound", "within"),
    [
        (2, 121, 0.01, True),
        (5, 121, 0.01, False),
        (9, 500, 0.01, True),
        (10, 500, 0.01, False),
        (0, 100, 0.0, True),
        (1, 100, 0.0, False),
        (-3, 100, 0.0, True),
    ],
)
def test_few_lost_samples_are_chance_and_many_are_not(lost, samples, bound, within):
    assert within_chance(lost / samples, samples, bound) == within
