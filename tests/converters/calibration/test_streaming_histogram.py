from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.calibration.streaming_histogram import StreamingHistogram
from edge_cnn.core.errors import ModelError
from tests.converters.calibration.batches import BATCHES, bell


def histogram_of(batches: list[np.ndarray], max_bins: int = 64) -> StreamingHistogram:
    histogram = StreamingHistogram(max_bins)
    for batch in batches:
        histogram.update(batch)
    return histogram


@given(BATCHES)
def test_counts_are_those_of_one_pass_over_all_values_with_the_final_width(batches: list[np.ndarray]) -> None:
    histogram = histogram_of(batches)
    values = np.concatenate(batches).astype(np.float64)
    bins = np.floor(values / histogram.width).astype(np.int64)  # float64 by a power of two: exact
    found = {histogram.first + i: int(n) for i, n in enumerate(histogram.counts) if n}
    assert found == {int(b): int(n) for b, n in zip(*np.unique(bins, return_counts=True), strict=True)}


@given(BATCHES, st.integers(0, 2**32 - 1))
def test_the_order_of_the_values_and_their_batches_do_not_matter(batches: list[np.ndarray], seed: int) -> None:
    values = np.concatenate(batches)
    shuffled = values[np.random.default_rng(seed).permutation(len(values))]
    one, other = histogram_of(batches), histogram_of([shuffled])
    assert (one.first, one.width, one.range) == (other.first, other.width, other.range)
    assert np.array_equal(one.counts, other.counts)


@given(BATCHES)
def test_bins_are_few_enough_and_no_wider_than_needed(batches: list[np.ndarray]) -> None:
    histogram = histogram_of(batches)
    assert len(histogram.counts) <= 64
    low, high = histogram.range
    if high > low:
        assert (high - low) / 64 <= histogram.width <= (high - low) / 31


@given(BATCHES)
def test_the_range_is_that_of_the_values_and_zero(batches: list[np.ndarray]) -> None:
    values = np.concatenate([*batches, np.zeros(1, np.float32)])
    assert histogram_of(batches).range == (values.min(), values.max())


@given(BATCHES)
def test_magnitudes_are_the_histogram_of_absolute_values_but_for_the_edges(batches: list[np.ndarray]) -> None:
    histogram = histogram_of(batches)
    magnitudes = histogram.magnitudes()
    assert magnitudes.sum() == histogram.total
    values = np.concatenate(batches).astype(np.float64)
    # Below 0 a bin holds its outer edge, above 0 its inner one.
    steps = values / histogram.width
    bins = np.where(steps < 0, np.ceil(-steps) - 1, np.floor(steps)).astype(np.int64)
    assert np.array_equal(magnitudes, np.bincount(bins, minlength=len(magnitudes)))


def test_a_first_batch_of_zeros_or_of_tiny_values_does_not_spoil_the_rest() -> None:
    values = bell(5000)
    for first in (np.zeros(10, np.float32), np.full(10, 1e-15, np.float32)):
        one, other = histogram_of([first, values], 1024), histogram_of([values, first], 1024)
        assert one.width == other.width
        assert np.array_equal(one.counts, other.counts)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ModelError, match="NaN or infinity"):
        histogram_of([np.array([1.0, bad], np.float32)])
