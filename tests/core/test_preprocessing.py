import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.preprocessing import Preprocessing, apply_table, code_table, input_range, normalize
from edge_cnn.core.quantization import QuantizationParams, quantize
from edge_cnn.core.tensor_spec import TensorSpec

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)


def test_normalization_is_pixel_minus_mean_over_std_for_each_channel():
    preprocessing = Preprocessing(4, 5, 3, mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0))
    expected = (IMAGES.astype(np.float64) - [10, 20, 30]) / [2, 4, 8]
    np.testing.assert_array_equal(normalize(IMAGES, preprocessing), expected.astype(np.float32))


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 1), (-1, 1)])
def test_an_input_range_maps_the_darkest_and_the_brightest_pixel_to_its_ends(low, high):
    ends = normalize(np.array([0, 255], np.uint8).reshape(1, 1, 2, 1), input_range(low, high, (1, 2, 1)))
    np.testing.assert_allclose(ends.ravel(), [low, high], atol=1e-6)


def test_codes_are_the_quantized_normalized_pixels():
    preprocessing = input_range(-1, 1, (4, 5, 3))
    params = QuantizationParams((float(np.float32(2 / 255)),), (-1,))
    spec = TensorSpec("input", (1, 4, 5, 3), "int8", params)
    expected = quantize(normalize(IMAGES, preprocessing), params, np.dtype(np.int8))
    np.testing.assert_array_equal(apply_table(IMAGES, code_table(preprocessing, spec)), expected)


@pytest.mark.parametrize("bad", [{"std": (0.0,)}, {"mean": (float("nan"),)}, {"mean": (1.0, 2.0)}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(DataError):
        Preprocessing(4, 5, 3, **bad)


def test_an_empty_range_is_refused():
    with pytest.raises(DataError, match="larger"):
        input_range(1, 1, (1, 1, 1))
