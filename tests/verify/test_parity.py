import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.verify.parity import accuracy, compare, top1_agreement

GRID = QuantizationParams((0.5,), (3,))
CODES = arrays(np.int8, (4, 5), elements=st.integers(-128, 127))


def test_codes_are_compared_by_hand_worked_numbers():
    host = np.array([[10, 20, 30], [0, 0, 0]], np.int8)
    device = np.array([[10, 22, 29], [0, 0, 1]], np.int8)
    difference = compare("logits", host, device, GRID, GRID)
    assert difference.max_lsb == 2
    assert difference.mean_lsb == pytest.approx((2 - 1 + 1) / 6)
    assert difference.histogram == {-1: 1, 0: 3, 1: 1, 2: 1}
    assert difference.max_abs == pytest.approx(1.0)
    assert difference.mean_abs == pytest.approx((1.0 + 0.5 + 0.5) / 6)
    assert difference.peak == pytest.approx(13.5)


def test_the_widest_difference_of_int8_does_not_overflow():
    difference = compare("outputs", np.array([[127]], np.int8), np.array([[-128]], np.int8))
    assert difference.max_lsb == 255
    assert difference.histogram == {-255: 1}


@settings(max_examples=50, deadline=None)
@given(CODES, CODES)
def test_lsb_agree_with_plain_python(host, device):
    difference = compare("logits", host, device, GRID, GRID)
    plain = [int(d) - int(h) for h, d in zip(host.ravel(), device.ravel(), strict=True)]
    assert difference.max_lsb == max(map(abs, plain))
    assert difference.histogram == {d: plain.count(d) for d in sorted(set(plain))}
    assert sum(difference.histogram.values()) == host.size
    assert difference.max_abs == pytest.approx(0.5 * max(map(abs, plain)))
    assert difference.mean_abs == pytest.approx(0.5 * sum(map(abs, plain)) / len(plain))


@settings(max_examples=50, deadline=None)
@given(CODES)
def test_a_tensor_equals_itself(codes):
    difference = compare("logits", codes, codes, GRID, GRID)
    assert (difference.max_lsb, difference.max_abs, difference.cosine) == (0, 0, pytest.approx(1))
    assert top1_agreement(codes, codes) == 1


def test_floats_on_a_known_grid_are_counted_in_codes():
    host = np.array([[0.0, 0.5, 1.5]], np.float32)
    difference = compare("logits", host, host + np.float32([[0, 0.5, -1.0]]), GRID, GRID)
    assert difference.histogram == {-2: 1, 0: 1, 1: 1}


def test_codes_are_compared_with_a_graph_that_dequantizes():
    host = np.array([[3, 4, 6]], np.int8)
    difference = compare("logits", host, np.array([[0.0, 0.5, 2.0]], np.float32), GRID, GRID)
    assert difference.histogram == {0: 2, 1: 1}


def test_floats_without_a_grid_have_no_lsb():
    difference = compare("outputs", np.zeros((1, 2), np.float32), np.array([[0, 1e-3]], np.float32))
    assert difference.max_lsb is None
    assert difference.histogram == {}
    assert difference.max_abs == pytest.approx(1e-3)


def test_nan_from_the_device_is_counted_and_never_looks_small():
    device = np.array([[0.5, math.nan], [math.inf, 0.5]], np.float32)
    difference = compare("outputs", np.full((2, 2), 0.5, np.float32), device)
    assert difference.non_finite == 2
    assert difference.max_abs == math.inf
    json.dumps(difference.to_json(), allow_nan=False)


def test_the_gain_is_the_slope_of_a_least_squares_line():
    rng = np.random.default_rng(0)
    host = rng.normal(0, 3, (40, 5))
    device = 1.02 * host + rng.normal(0, 0.1, host.shape)
    difference = compare("logits", host.astype(np.float32), device.astype(np.float32))
    (slope, *_), *_ = np.linalg.lstsq(host.reshape(-1, 1), device.ravel())
    assert difference.gain == pytest.approx(slope, rel=1e-5)
    assert difference.gain_error == pytest.approx(0.1 / np.sqrt((host**2).sum()), rel=0.15)


@settings(max_examples=30, deadline=None)
@given(CODES, CODES)
def test_the_error_of_the_mean_agrees_with_numpy(host, device):
    plain = device.astype(int) - host.astype(int)
    expected = plain.std() / np.sqrt(plain.size)
    assert compare("logits", host, device, GRID, GRID).mean_lsb_error == pytest.approx(expected)


def test_the_cosine_is_that_of_the_worst_sample():
    host = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)
    device = np.array([[3.0, 4.0], [1.0, 1.0]], np.float32)
    assert compare("outputs", host, device).cosine == pytest.approx(math.sqrt(0.5))


def test_the_cosine_of_zeros_is_defined():
    zeros, ones = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    assert compare("outputs", zeros, zeros).cosine == 1
    assert compare("outputs", zeros, ones).cosine == 0


def test_no_samples_give_no_differences():
    empty = np.empty((0, 3), np.int8)
    assert compare("outputs", empty, empty).max_lsb == 0
    assert top1_agreement(empty, empty) == 1
    assert accuracy(empty, np.empty(0, np.int64)) == 1


def test_a_class_that_ties_on_the_host_counts_as_its_answer():
    host = np.array([[9, 9, 0]], np.int8)
    assert top1_agreement(host, np.array([[8, 9, 0]], np.int8)) == 1
    assert top1_agreement(host, np.array([[0, 0, 9]], np.int8)) == 0


def test_a_constant_device_does_not_agree_with_everything():
    host = np.eye(10, dtype=np.int8)
    assert top1_agreement(host, np.zeros((10, 10), np.int8)) == pytest.approx(0.1)


def test_accuracy_takes_the_first_best_class_as_a_classifier_does():
    outputs = np.array([[5, 5], [1, 2], [2, 1]], np.int8)
    assert accuracy(outputs, np.array([1, 1, 0])) == pytest.approx(2 / 3)
