import numpy as np
import pytest

from edge_cnn.core.errors import DataError, ModelError
from edge_cnn.core.preprocessing import Preprocessing, input_range, normalize
from edge_cnn.core.quantization import QuantizationParams, quantize
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.model_input import image_shape, to_model_input

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), np.uint8)
PIXEL_CODES = QuantizationParams((float(np.float32(1 / 255)),), (-128,))
WIDE = Preprocessing(8, 9, 3)


@pytest.mark.parametrize(
    ("preprocessing", "spec"),
    [
        (WIDE, TensorSpec("i", (1, 8, 9, 3), "int8", PIXEL_CODES)),
        (WIDE, TensorSpec("i", (1, 8, 9, 3), "uint8", QuantizationParams((float(np.float32(1 / 255)),), (0,)))),
        (input_range(-1, 1, (8, 9, 3)), TensorSpec("i", (1, 8, 9, 3), "int8", QuantizationParams((0.01,), (3,)))),
        (Preprocessing(8, 9, 3, (1, 2, 3), (4, 5, 6)), TensorSpec("i", (1, 8, 9, 3), "int8", PIXEL_CODES)),
    ],
)
def test_codes_are_those_of_normalizing_and_quantizing(preprocessing, spec):
    expected = quantize(normalize(IMAGES, preprocessing), spec.quantization, spec.numpy_dtype)
    got = to_model_input(IMAGES, preprocessing, spec)
    assert got.dtype == spec.numpy_dtype
    np.testing.assert_array_equal(got, expected)


def test_a_float_graph_with_channels_first_gets_its_layout():
    got = to_model_input(IMAGES, WIDE, TensorSpec("i", (-1, 3, 8, 9), "float32"))
    np.testing.assert_array_equal(got, normalize(IMAGES, WIDE).transpose(0, 3, 1, 2))
    assert got.flags.c_contiguous


def test_float_inputs_are_taken_as_they_are():
    inputs = np.random.default_rng(1).random((2, 7)).astype(np.float32)
    np.testing.assert_array_equal(to_model_input(inputs, None, TensorSpec("i", (-1, 7), "float32")), inputs)


def test_pixels_are_never_changed_in_place():
    before = IMAGES.copy()
    to_model_input(IMAGES, WIDE, TensorSpec("i", (1, 8, 9, 3), "int8", PIXEL_CODES))
    np.testing.assert_array_equal(IMAGES, before)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (IMAGES[:, :7], "resize"),
        (IMAGES[..., :1], "channels"),
        (IMAGES.astype(np.int64), "uint8 pixels or float"),
        (np.full((1, 8, 9, 3), np.inf, np.float32), "NaN or infinity"),
        (np.zeros((1, 8, 9), np.float32), "shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(images, said):
    with pytest.raises(DataError, match=said):
        to_model_input(images, WIDE, TensorSpec("i", (1, 8, 9, 3), "int8", PIXEL_CODES))


def test_only_images_of_known_size_have_an_image_shape():
    assert image_shape(TensorSpec("i", (1, 8, 9, 3), "int8")) == (8, 9, 3)
    assert image_shape(TensorSpec("i", (-1, 1, 8, 9), "float32")) == (8, 9, 1)
    with pytest.raises(ModelError, match="no image"):
        image_shape(TensorSpec("i", (1, 490), "float32"))
