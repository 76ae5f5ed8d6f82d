"""Which tensors share a scale: the file that TensorFlow's quantizer writes is the judge."""

from __future__ import annotations

import numpy as np
import pytest

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.improvement.fake_quantization import activation_scale
from converters.improvement.shared_scales import scale_groups, shared_ranges
from converters.schemes.integer_quantizer import quantize_to_int8
from tests.converters.improvement.int8_file import run_int8


@pytest.fixture(scope="module")
def quantized(jointed, noise):
    ranges = shared_ranges(jointed, ranges_of(jointed, Calibration(noise)))
    return ranges, next(run_int8(quantize_to_int8(jointed, ranges), jointed, noise[:1]))


def test_every_activation_has_the_scale_and_zero_point_of_the_file(jointed, quantized):
    ranges, file = quantized
    assert set(ranges) == set(file)
    for index, (low, high) in ranges.items():
        scale, zero_point = activation_scale(low, high)
        assert float(scale) == pytest.approx(float(file[index].scale), rel=1e-5), jointed.tensors[index].name
        assert int(zero_point) == file[index].zero_point, jointed.tensors[index].name


def test_what_only_moves_codes_has_the_scale_of_what_it_moves(jointed, quantized):
    groups, file = scale_groups(jointed), quantized[1]
    moving = [
        o for o in jointed.operators if o.op in {"MAX_POOL_2D", "AVERAGE_POOL_2D", "CONCATENATION", "RESHAPE", "PAD"}
    ]
    assert {o.op for o in moving} == {"MAX_POOL_2D", "AVERAGE_POOL_2D", "CONCATENATION", "RESHAPE", "PAD"}
    for operator in moving:
        entering = [i for i in operator.inputs if i in groups]
        scales = {file[i].scale for i in (*entering, *operator.outputs) if groups[i] == groups[operator.outputs[0]]}
        assert len(scales) == 1
    alone = next(o.outputs[0] for o in jointed.operators if o.op == "LOGISTIC")
    pooled = next(o.outputs[0] for o in jointed.operators if alone in o.inputs)
    assert {index for index, group in groups.items() if group in (groups[alone], groups[pooled])} == {alone, pooled}
    assert file[alone].scale == file[pooled].scale == np.float32(1 / 256)
