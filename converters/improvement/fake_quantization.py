"""Rounding to codes and back inside a float computation, with a gradient (Jacob et al. 2018, arXiv 1712.05877, eq. 12).

Values become what an integer file computes with; the gradient is that of clipping to the range, as if nothing had been
rounded (the straight-through estimator, Bengio et al. 2013, arXiv 1308.3432).
"""

from __future__ import annotations

from typing import Any

ACTIVATION_CODES = (-128, 127)
BIAS_CODES = (-(2**31), 2**31 - 128)
"""The upper end is the largest float32 that an int32 holds."""

_SMALLEST_SCALE = 1e-12
"""Of a tensor that is zero everywhere, whose scale would be 0."""


def fake_quantize(values: Any, scale: Any, zero_point: Any, codes: tuple[int, int]) -> Any:
    """Each value as scale * (code - zero point); its gradient is 1 inside the range and 0 outside.

    Args:
        values: float32 tensor.
        scale: float32, of a shape that broadcasts to the values'; no gradient flows to it.
        zero_point: float32 with whole values, likewise.
        codes: smallest and largest code.
    """
    import tensorflow as tf

    scale, zero_point = tf.stop_gradient(scale), tf.stop_gradient(zero_point)
    low, high = (scale * (code - zero_point) for code in codes)

    @tf.custom_gradient
    def rounded(inner: Any) -> Any:
        found = tf.clip_by_value(tf.round(inner / scale) + zero_point, float(codes[0]), float(codes[1]))

        def gradient(upstream: Any) -> Any:
            return tf.where((inner >= low) & (inner <= high), upstream, tf.zeros_like(upstream))

        return (found - zero_point) * scale, gradient

    return rounded(tf.convert_to_tensor(values))


def weight_limit(bits: int) -> int:
    """The largest code of symmetric weights: 127 of 8 bits, 7 of 4."""
    return 2 ** (bits - 1) - 1


def weight_scale(weights: Any, axis: int | None, bits: int) -> Any:
    """Largest magnitude of each output channel over `weight_limit`, float32, with 1 for every other axis.

    Args:
        weights: float32 tensor.
        axis: that the channels run along; None for one scale for all.
        bits: of the codes.
    """
    import tensorflow as tf

    others = [other for other in range(len(weights.shape)) if other != axis]
    largest = tf.reduce_max(tf.abs(weights), others, keepdims=True)
    return tf.maximum(largest / float(weight_limit(bits)), _SMALLEST_SCALE)


def activation_scale(low: Any, high: Any) -> tuple[Any, Any]:
    """Scale and zero point of int8 codes for a range, which is widened to hold 0 and moved so that 0 is a code.

    The rule is that of TensorFlow's quantizers (Jacob et al. 2018, section 3).
    """
    import tensorflow as tf

    low, high = tf.minimum(low, 0.0), tf.maximum(high, 0.0)
    smallest, largest = (float(code) for code in ACTIVATION_CODES)
    scale = tf.maximum((high - low) / (largest - smallest), _SMALLEST_SCALE)
    return scale, tf.clip_by_value(tf.round(smallest - low / scale), smallest, largest)
