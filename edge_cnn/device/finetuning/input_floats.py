"""Float inputs that look like pixels, for a model whose inputs are small numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing, normalization_table
from edge_cnn.core.quantization import dequantize
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.sample_source import SampleSource

PIXEL = 255.0
LOOKED_AT = 200
"""Samples that tell enough."""

BEYOND = 8.0
"""Times the largest input of the model: no outlier of a well-scaled set."""

SHARE = 0.01
"""Of values beyond: a single one may be a fault of the sensor."""


def remark_on_floats(
    samples: SampleSource,
    model_input: TensorSpec,
    preprocessing: Preprocessing | None,
    on_remark: Callable[[str], None],
) -> None:
    """Say where float inputs lie in 0..255 and the model takes numbers of about 1.

    Args:
        samples: looked at where they are floats.
        model_input: whose codes tell the range; floats leave it to the preprocessing.
        preprocessing: None where the model takes no images.
        on_remark: told.
    """
    taken = _range(model_input, preprocessing)
    if not isinstance(samples, LabelledImages) or samples.is_pixels or not len(samples) or taken is None:
        return
    looked = samples.images[:: -(-len(samples) // LOOKED_AT)]
    low, high = taken
    least, most = float(looked.min()), float(looked.max())
    limit = BEYOND * max(abs(low), abs(high))
    if least < 0 or most > PIXEL or np.count_nonzero(looked > limit) < SHARE * looked.size:
        return
    on_remark(f"x holds floats up to {most:.4g} while the model takes {low:.2g}..{high:.2g}; save pixels as uint8")


def _range(model_input: TensorSpec, preprocessing: Preprocessing | None) -> tuple[float, float] | None:
    """Smallest and largest number that the input stands for; None where nothing tells."""
    if model_input.quantization is not None:
        limits = np.iinfo(model_input.numpy_dtype)
        ends = dequantize(np.array([limits.min, limits.max], model_input.numpy_dtype), model_input.quantization)
    elif preprocessing is not None:
        ends = normalization_table(preprocessing)
    else:
        return None
    return float(ends.min()), float(ends.max())
