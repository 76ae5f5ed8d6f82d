"""Statistics against scipy, which the device side must do without."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.verify.mcnemar import mcnemar_p_value
from edge_cnn.verify.paired_answers import PairedAnswers, answers, paired_answers
from edge_cnn.verify.sqnr import sqnr_db

COUNTS = st.integers(0, 400)


@settings(max_examples=100, deadline=None)
@given(COUNTS, COUNTS)
def test_mcnemar_is_scipys_exact_binomial_test(lost, won):
    expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert mcnemar_p_value(lost, won) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_mcnemar_of_a_textbook():
    # Agresti, Categorical Data Analysis, 2nd ed., 10.1.2: 86 and 150 of 1600 changed their approval, z = -4.17.
    assert mcnemar_p_value(86, 150) == pytest.approx(2 * stats.norm.sf(4.17), rel=0.25)
    assert mcnemar_p_value(5, 0) == 2 / 2**5
    assert mcnemar_p_value(6, 0) < 0.05 < mcnemar_p_value(5, 0)


def test_mcnemar_neither_underflows_nor_exceeds_one():
    assert 0 < mcnemar_p_value(1000, 0) < 1e-290
    assert mcnemar_p_value(7, 7) == 1.0
    assert mcnemar_p_value(0, 0) == 1.0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_interval_is_scipys_wilson_interval(data):
    samples = data.draw(st.integers(1, 5000))
    hits = data.draw(st.integers(0, samples))
    expected = stats.binomtest(hits, samples).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits, samples) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_an_interval_holds_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    for truth in (0.5, 0.87, 0.98):
        hits = rng.binomial(256, truth, 2000)
        low, high = np.array([wilson_interval(int(h), 256) for h in hits]).T
        assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(0.95, abs=0.02)


def test_without_samples_any_accuracy_is_possible():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_sqnr_is_that_of_a_sine_in_so_many_bits():
    # Bennett 1948: 6.02 dB a bit and 1.76 dB for a full-scale sine.
    wave = np.sin(np.linspace(0, 1000, 200_001))
    for bits in (8, 10, 12):
        step = 2 / 2**bits
        assert sqnr_db(wave, np.rint(wave / step) * step) == pytest.approx(6.02 * bits + 1.76, abs=0.1)


def test_sqnr_at_its_ends():
    ones, zeros = np.ones((2, 3)), np.zeros((2, 3))
    assert sqnr_db(ones, ones) == math.inf
    assert sqnr_db(zeros, zeros) == math.inf
    assert sqnr_db(zeros, ones) == -math.inf
    assert sqnr_db(ones, zeros) == 0
    assert sqnr_db(ones, np.full((2, 3), math.nan)) == -math.inf


def test_paired_answers_by_hand():
    labels = np.array([0, 1, 2, 2, 1])
    before = np.eye(3)[[0, 1, 0, 2, 0]]
    after = np.eye(3)[[0, 2, 2, 2, 2]]
    pair = paired_answers(labels, before, after)
    assert [(f.sample, f.label, f.before, f.after) for f in pair.flips] == [(1, 1, 1, 2), (2, 2, 0, 2), (4, 1, 0, 2)]
    assert (pair.lost, pair.won) == (1, 1)
    assert pair.p_value == 1
    assert not pair.is_significant_loss
    assert pair.interval_before == pair.interval_after == wilson_interval(3, 5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=60))
def test_paired_answers_agree_with_a_contingency_table(rows):
    labels, before, after = (tuple(column) for column in zip(*rows, strict=True)) if rows else ((), (), ())
    pair = PairedAnswers(labels, before, after)
    right = np.array([[b == label, a == label] for label, b, a in rows], bool).reshape(-1, 2)
    table = np.histogram2d(right[:, 0], right[:, 1], bins=2, range=[[0, 1], [0, 1]])[0]
    assert (pair.lost, pair.won) == (table[1, 0], table[0, 1])
    assert len(pair.flips) == sum(b != a for b, a in zip(before, after, strict=True))


@pytest.mark.parametrize(("lost", "won", "significant"), [(5, 0, False), (6, 0, True), (0, 20, False), (20, 19, False)])
def test_a_loss_is_significant_beyond_chance_only(lost, won, significant):
    pair = PairedAnswers((1,) * (lost + won), (1,) * lost + (0,) * won, (0,) * lost + (1,) * won)
    assert pair.is_significant_loss is significant


def test_the_first_best_class_is_the_answer():
    assert answers(np.array([[5, 5], [1, 2]], np.int8)) == (0, 1)
    assert answers(np.empty((0, 3), np.int8)) == ()
