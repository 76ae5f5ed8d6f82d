"""Rounding with a gradient: TensorFlow's own operators and finite differences are the judges."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.improvement.fake_quantization import (
    ACTIVATION_CODES,
    activation_scale,
    fake_quantize,
    weight_limit,
    weight_scale,
)


def values(*shape):
    return np.random.default_rng(3).normal(0, 1, shape).astype(np.float32)


def value_and_gradient(function, inputs, upstream):
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        result = function(inputs)
    return result.numpy(), tape.gradient(result, inputs, upstream).numpy()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.5), (0.0, 0.7), (-0.3, 0.0), (-2.0, 0.01)])
def test_activations_are_rounded_as_tensorflows_operator_does_and_have_its_gradient(low, high):
    inputs, upstream = values(50, 40), values(50, 40) + 1
    mine = value_and_gradient(
        lambda x: fake_quantize(x, *activation_scale(low, high), ACTIVATION_CODES), inputs, upstream
    )
    theirs = value_and_gradient(
        lambda x: tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8), inputs, upstream
    )
    np.testing.assert_allclose(mine[0], theirs[0], atol=1e-6)
    np.testing.assert_array_equal(mine[1], theirs[1])
    assert 0 < np.count_nonzero(mine[1]) < mine[1].size


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_are_rounded_channel_by_channel_as_tensorflows_operator_does(bits):
    inputs, upstream = values(5, 3, 3, 6) * np.float32([0.1, 1, 3, 0.02, 7, 1]), values(5, 3, 3, 6)
    largest = np.abs(inputs).max(axis=(0, 1, 2))
    limit = weight_limit(bits)
    mine = value_and_gradient(
        lambda x: fake_quantize(x, weight_scale(x, 3, bits), 0.0, (-limit, limit)), inputs, upstream
    )
    theirs = value_and_gradient(
        lambda x: tf.quantization.fake_quant_with_min_max_vars_per_channel(
            x, -largest, largest, num_bits=bits, narrow_range=True
        ),
        inputs,
        upstream,
    )
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(mine[1], upstream)
    assert len(np.unique(np.rint(mine[0][..., 1] / largest[1] * limit))) <= 2 * limit + 1


def test_the_gradient_is_that_of_clipping_to_the_range_by_finite_differences():
    low, high = -0.5, 1.0
    scale, zero_point = activation_scale(low, high)
    ends = [(float(scale) * (code - float(zero_point))) for code in ACTIVATION_CODES]
    inputs, upstream = values(30), values(30)
    _, gradient = value_and_gradient(lambda x: fake_quantize(x, scale, zero_point, ACTIVATION_CODES), inputs, upstream)
    for i in range(30):
        step = np.zeros(30)
        step[i] = 1e-4
        above, below = (np.sum(np.clip(inputs.astype(np.float64) + s, *ends) * upstream) for s in (step, -step))
        assert (above - below) / 2e-4 == pytest.approx(gradient[i], abs=1e-6)


def test_no_gradient_flows_to_the_scale():
    scale = tf.Variable(0.1)
    with tf.GradientTape() as tape:
        result = tf.reduce_sum(fake_quantize(tf.constant(values(10)), scale, 0.0, (-7, 7)))
    assert tape.gradient(result, scale) is None


@settings(deadline=None, max_examples=40)
@given(low=st.floats(-1e3, 0, width=32), high=st.floats(0, 1e3, width=32))
def test_rounded_values_stay_when_rounded_again_and_zero_is_always_one_of_them(low, high):
    scale, zero_point = activation_scale(np.float32(low), np.float32(high))
    assert float(zero_point) == round(float(zero_point))
    inputs = np.linspace(low, high, 300, dtype=np.float32)
    once = fake_quantize(tf.constant(inputs), scale, zero_point, ACTIVATION_CODES)
    twice = fake_quantize(once, scale, zero_point, ACTIVATION_CODES)
    np.testing.assert_array_equal(once.numpy(), twice.numpy())
    assert np.abs(once.numpy() - inputs).max() <= float(scale) * 0.501 + abs(low) * 1e-6 + abs(high) * 1e-6
    assert fake_quantize(tf.zeros(1), scale, zero_point, ACTIVATION_CODES).numpy() == 0


def test_channels_of_zeros_stay_zeros():
    weights = np.zeros((2, 3), np.float32)
    rounded = fake_quantize(tf.constant(weights), weight_scale(weights, 0, 8), 0.0, (-127, 127))
    np.testing.assert_array_equal(rounded.numpy(), weights)
