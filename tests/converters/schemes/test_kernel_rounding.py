"""How FULLY_CONNECTED rounds in LiteRT's reference kernels and in TFLite Micro, held against integers in Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from converters.float_graph.packing import pack
from converters.schemes.tflite_edit import TfliteEdit
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.device.tflite.int4_codes import unpack_int4
from edge_cnn.verify.devices.table import parse_device

SCHEMES = ("int8", "int8-per-tensor", "int16x8", "int4-weights")


def multiplier(factor):
    """(m, shift) of `factor` = m * 2**(shift - 31), m of 31 bits: as all kernels keep it (gemmlowp)."""
    mantissa, shift = math.frexp(factor)
    return math.floor(mantissa * 2**31 + 0.5), shift


def rounded_once(total, factor):
    """The nearest integer of the exact product."""
    m, shift = multiplier(factor)
    return (total * m + (1 << (30 - shift))) >> (31 - shift)


def rounded_twice(total, factor):
    """To the nearest with `-shift` bits behind the point, then to the nearest integer, halves away from zero."""
    m, shift = multiplier(factor)
    assert shift <= 0
    fine = (total * m + (1 << 30)) >> 31
    half = (1 << -shift) >> 1
    return (abs(fine) + half >> -shift) * (1 if fine >= 0 else -1)


def rounded_with_16_bits(total, factor):
    """Once, but the multiplier itself has been rounded to 15 bits: what int64 sums are multiplied by."""
    m, shift = multiplier(factor)
    return (total * ((m + (1 << 15)) >> 16) + (1 << (14 - shift))) >> (15 - shift)


class Dense:
    """The FULLY_CONNECTED of a file, alone."""

    def __init__(self, data):
        edit = TfliteEdit(data)
        (operator,) = [o for o in edit.operators if edit.name_of(o) == "FULLY_CONNECTED"]
        entry, weights, bias = (int(i) for i in operator.inputs)
        end = int(operator.outputs[0])
        edit.graph.operators = [operator]
        edit.graph.inputs, edit.graph.outputs = np.array([entry], np.int32), np.array([end], np.int32)
        edit.model.signatureDefs = edit.model.metadata = None
        self.artifact = Artifact("dense.tflite", TFLITE, pack(edit.model))
        tensors = edit.tensors
        content = [np.asarray(edit.model.buffers[tensors[i].buffer].data, np.uint8) for i in (weights, bias)]
        shape = tuple(int(n) for n in tensors[weights].shape)
        int4 = edit.type_of(weights) == "int4"
        codes = unpack_int4(content[0], math.prod(shape)) if int4 else content[0].view(np.int8)
        self.weights = codes.reshape(shape).astype(np.int64)
        self.bias = content[1].view(edit.type_of(bias)).astype(np.int64)
        self.dtype = np.dtype(edit.type_of(entry))
        (self.zero,), (self.end_zero,) = (tensors[i].quantization.zeroPoint for i in (entry, end))
        scales = [np.float64(tensors[i].quantization.scale) for i in (entry, weights, end)]
        self.factors = np.broadcast_to(scales[0] * scales[1] / scales[2], shape[:1])
        self.inputs = np.random.default_rng(5).integers(-30, 30, (500, shape[1])).astype(self.dtype)
        if self.dtype == np.int16:
            self.inputs *= 500

    def codes(self, round_by):
        """Codes (n, classes) by integers of any size."""
        sums = (self.inputs.astype(np.int64) - self.zero) @ self.weights.T + self.bias
        limits = np.iinfo(self.dtype)
        found = [[round_by(int(v), float(f)) for v, f in zip(row, self.factors, strict=True)] for row in sums]
        return np.clip(np.array(found) + self.end_zero, limits.min, limits.max)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_reference_kernels_round_a_dense_layer_once(make, scheme):
    dense = Dense(make(TFLITE, scheme).data)
    (found,) = open_runtime(dense.artifact, "litert-ref").run([dense.inputs])
    wanted = dense.codes(rounded_once)
    assert len(np.unique(wanted)) > 20
    assert np.array_equal(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_microcontroller_kernels_round_it_twice_or_multiply_by_16_bits(make, scheme):
    try:
        device = parse_device("tflm")
    except DeviceUnavailableError as error:
        pytest.skip(str(error))
    dense = Dense(make(TFLITE, scheme).data)
    try:
        (found,) = device.open(dense.artifact, "tflm").run([dense.inputs])
    finally:
        device.close()
    wanted = dense.codes(rounded_with_16_bits if scheme == "int16x8" else rounded_twice)
    assert np.array_equal(found, wanted)
    once = dense.codes(rounded_once)
    assert np.abs(once - wanted).max() == 1
