from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.calibration.entropy import Entropy, divergence
from converters.calibration.min_max import MinMax
from converters.calibration.mse import Mse
from converters.calibration.percentile import Percentile
from converters.calibration.table import ESTIMATORS, new_estimator
from edge_cnn.core.errors import InputError, ModelError
from tests.converters.calibration.batches import BATCHES, bell, told

BIN = 1 / 4095
"""Of the range: what a bin of the histogram is at most."""


@pytest.fixture(params=ESTIMATORS)
def method(request: pytest.FixtureRequest) -> str:
    return request.param


@settings(max_examples=30)
@given(batches=BATCHES)
@pytest.mark.parametrize("method", ESTIMATORS)
def test_zero_is_inside_and_the_ends_are_within_the_extremes(method: str, batches: list[np.ndarray]) -> None:
    low, high = told(new_estimator(method), batches)
    values = np.concatenate([*batches, np.zeros(1, np.float32)])
    assert values.min() <= low <= 0 <= high <= values.max()
    assert (low < high) == bool(values.any())


@settings(max_examples=30)
@given(batches=BATCHES, seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("method", ESTIMATORS)
def test_neither_order_nor_batches_matter(method: str, batches: list[np.ndarray], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(np.concatenate(batches))
    assert told(new_estimator(method), batches) == told(new_estimator(method), [shuffled])


@settings(max_examples=30)
@given(batches=BATCHES)
@pytest.mark.parametrize("method", ESTIMATORS)
def test_what_a_relu_made_keeps_zero_as_its_low_end(method: str, batches: list[np.ndarray]) -> None:
    low, _ = told(new_estimator(method), [np.maximum(batch, 0) for batch in batches])
    assert low == 0


def test_a_mirrored_tensor_has_the_mirrored_range(method: str) -> None:
    low, high = told(new_estimator(method), [bell()])
    other_low, other_high = told(new_estimator(method), [-bell()])
    step = BIN * float(np.ptp(bell()))
    assert -other_high == pytest.approx(low, abs=2 * step)
    assert -other_low == pytest.approx(high, abs=2 * step)


def test_what_is_no_number_is_refused(method: str) -> None:
    with pytest.raises(ModelError, match="NaN or infinity; train the model again"):
        told(new_estimator(method), [np.array([0, np.nan], np.float32)])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="unknown calibration method 'max'; known: min-max, percentile, mse, entropy"):
        new_estimator("max")


@given(BATCHES)
def test_min_max_is_that_of_all_values_and_zero(batches: list[np.ndarray]) -> None:
    values = np.concatenate([*batches, np.zeros(1, np.float32)])
    assert told(MinMax(), batches) == (values.min(), values.max())


@pytest.mark.parametrize("percent", [99.0, 99.9, 99.99])
@pytest.mark.parametrize("relu", [False, True])
def test_percentile_holds_its_share_and_is_a_bin_from_the_order_statistics(percent: float, relu: bool) -> None:
    values = np.maximum(bell(), 0) if relu else bell()
    low, high = told(Percentile(percent), np.array_split(values, 7))
    cut = math.floor((100 - Fraction(str(percent))) / 200 * len(values))
    exact = np.sort(values)[[cut, -1 - cut]]
    step = BIN * np.ptp(values)
    assert exact[0] - step <= low <= exact[0]
    assert exact[1] <= high <= exact[1] + step
    assert np.count_nonzero((low <= values) & (values <= high)) >= len(values) - 2 * cut


@pytest.mark.parametrize("percent", [99.0, 99.9, 99.99])
def test_percentile_is_within_two_bins_of_onnxruntime_s(percent: float) -> None:
    values = bell()
    collector = ort_collector("percentile", percentile=percent)
    collector.collect({"x": [values]})
    expected_low, expected_high, *_ = collector.compute_percentile()["x"]
    low, high = told(Percentile(percent), [values])
    step = float(2 * np.abs(values).max() / 2048 + BIN * np.ptp(values))  # theirs and ours
    assert low == pytest.approx(float(expected_low), abs=step)
    assert high == pytest.approx(float(expected_high), abs=step)


def test_percentile_of_a_tensor_that_is_nearly_always_zero_keeps_the_rest() -> None:
    values = np.zeros(1_000_000, np.float32)
    values[:20] = 3.0
    assert told(Percentile(99.99), [values]) == (0.0, 3.0)


def rounding_error(values: np.ndarray, low: float, high: float, bits: int) -> float:
    """Mean squared error of affine quantization, value by value."""
    step = (high - low) / (2**bits - 1)
    zero = round(-low / step)
    codes = np.clip(np.rint(values / step) + zero, 0, 2**bits - 1)
    return float(np.mean(((codes - zero) * step - values) ** 2))


@pytest.mark.parametrize("bits", [8, 6, 4])
@pytest.mark.parametrize("relu", [False, True])
def test_mse_is_nearly_the_best_of_all_ranges_on_the_values_themselves(bits: int, relu: bool) -> None:
    values = bell(20_000).astype(np.float64)
    values = np.maximum(values, 0) if relu else values
    low, high = told(Mse(bits), [values.astype(np.float32)])
    shares = 1.13 ** -np.arange(30)
    lows = [0.0] if relu else shares * values.min()
    least = min(rounding_error(values, a, b, bits) for a in lows for b in shares * values.max())
    assert rounding_error(values, low, high, bits) <= 1.02 * least
    if bits == 4:
        assert high < 0.7 * values.max()  # few codes are better spent on the bulk


@pytest.mark.parametrize("bits", [8, 4])
def test_symmetric_mse_is_nearly_the_best_of_all_thresholds(bits: int) -> None:
    values = bell(20_000).astype(np.float64)
    last = 2 ** (bits - 1) - 1

    def error(threshold: float) -> float:
        step = threshold / last
        return float(np.mean((np.clip(np.rint(values / step), -last, last) * step - values) ** 2))

    low, high = told(Mse(bits, symmetric=True), [values.astype(np.float32)])
    top = np.abs(values).max()
    assert error(max(-low, high)) <= 1.01 * min(error(share * top) for share in 1.02 ** -np.arange(250))


def test_mse_keeps_the_extremes_of_what_is_spread_evenly() -> None:
    values = np.linspace(-1, 3, 100_001, dtype=np.float32)
    low, high = told(Mse(8), [values])
    assert low == pytest.approx(-1, abs=0.02)
    assert high == pytest.approx(3, abs=0.02)


def naive_divergence(counts: np.ndarray, cut: int, codes: int) -> float:
    """The talk's algorithm, bin by bin."""
    p = [float(n) for n in counts[:cut]]
    kept = list(p)
    p[-1] += float(sum(counts[cut:]))
    q = [0.0] * cut
    for code in range(codes):
        members = range(code * cut // codes, (code + 1) * cut // codes)
        filled = [i for i in members if p[i] > 0]
        for i in filled:
            q[i] = sum(kept[j] for j in members) / len(filled)
    if any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
        return math.inf
    return sum(a / sum(p) * math.log(a / sum(p) / (b / sum(q))) for a, b in zip(p, q, strict=True) if a > 0)


@given(st.lists(st.integers(0, 50), min_size=12, max_size=60), st.integers(0, 100))
def test_divergence_is_that_of_the_definition(counts: list[int], place: int) -> None:
    cut = 8 + place % (len(counts) - 8 + 1)
    if not sum(counts):
        return
    expected = naive_divergence(np.array(counts), cut, 8)
    assert divergence(np.array(counts, np.float64), cut, 8) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("relu", [False, True])
def test_entropy_is_nearly_the_least_divergence_of_all_cuts(relu: bool) -> None:
    values = np.maximum(bell(), 0) if relu else bell()
    codes = 256 if relu else 128
    top = np.abs(values).max()
    # Bins as the estimator's: powers of two, at most 2,048 of them.
    width = 2.0 ** math.ceil(math.log2(top / 2048))
    counts = np.bincount(np.floor(np.abs(values) / width).astype(int)).astype(np.float64)
    counts[0] = counts[1]
    every = {cut: divergence(counts, cut, codes) for cut in range(codes, len(counts) + 1)}
    low, high = told(Entropy(), [values])
    chosen = max(-low, high) / width
    assert every[round(chosen)] <= 1.05 * min(every.values())


def test_entropy_clips_about_as_onnxruntime_does() -> None:
    values = np.random.default_rng(1).standard_normal(500_000).astype(np.float32)
    # Theirs: 128 codes over both signs, ours: 128 a sign, so theirs gets twice as many of them.
    collector = ort_collector("entropy", num_quantized_bins=255)
    collector.collect({"x": [values]})
    _, expected, *_ = collector.compute_entropy()["x"]
    low, high = told(Entropy(), [values])
    assert high == pytest.approx(float(expected), rel=0.15)
    assert low == pytest.approx(-float(expected), rel=0.15)
    assert high < np.abs(values).max()


def test_symmetric_entropy_gives_a_relu_half_of_the_codes() -> None:
    values = np.maximum(bell(), 0)
    low, high = told(Entropy(symmetric=True), [values])
    assert low == 0
    assert high < told(Entropy(), [values])[1]


def ort_collector(method: str, *, percentile: float = 99.9, num_quantized_bins: int = 128):  # untyped there
    from onnxruntime.quantization.calibrate import HistogramCollector

    return HistogramCollector(method, False, 2048, num_quantized_bins, percentile, "same")
