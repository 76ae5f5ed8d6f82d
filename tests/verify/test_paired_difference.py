import numpy as np
import pytest

from edge_cnn.verify.paired_difference import paired_difference_interval


def test_the_interval_is_that_of_another_implementation():
    # R, contingencytables, Wald_CI_AgrestiMin_paired_2x2(cavo_2012), whose table has 6 and 16 off the diagonal of 161.
    assert paired_difference_interval(lost=16, won=6, samples=161) == pytest.approx((-0.1182, -0.0045), abs=5e-5)


def test_the_interval_by_hand():
    # 1 lost and 5 won of 10: (5.5 - 1.5) / 12 = 1/3, variance (7 - 16/12) / 144 = 17/432, so 1/3 +- 1.96 * 0.19837.
    assert paired_difference_interval(1, 5, 10) == pytest.approx((-0.05547, 0.72214), abs=1e-5)
    # Nothing changed: variance 1/49, so 0 +- 1.96 / 7.
    assert paired_difference_interval(0, 0, 5) == pytest.approx((-0.27999, 0.27999), abs=1e-5)


@pytest.mark.parametrize("samples", [10, 30, 100])
def test_it_holds_the_truth_nineteen_times_in_twenty(samples):
    rng = np.random.default_rng(0)
    held = []
    for lost, won in ((0.02, 0.1), (0.1, 0.1), (0.3, 0.5), (0.05, 0.6), (0.1, 0.4)):
        drawn = rng.multinomial(samples, [lost, won, 1 - lost - won], 2000)
        ends = [paired_difference_interval(int(a), int(b), samples) for a, b, _ in drawn]
        held.append(np.mean([low <= won - lost <= high for low, high in ends]))
    # Few samples make it a little too wide, never much too narrow.
    assert min(held) > 0.92
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_what_is_lost_is_the_mirror_image_of_what_is_won():
    low, high = paired_difference_interval(3, 8, 20)
    assert paired_difference_interval(8, 3, 20) == (-high, -low)


def test_it_stays_among_the_possible_differences():
    assert paired_difference_interval(0, 0, 0) == (-1.0, 1.0)
    for lost, won, samples in ((5, 0, 5), (0, 5, 5), (1, 0, 1), (0, 1, 1)):
        low, high = paired_difference_interval(lost, won, samples)
        assert -1 <= low < (won - lost) / samples or low == -1
        assert low < high <= 1
