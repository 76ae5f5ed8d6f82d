"""Corrected biases: the mean error of the int8 file itself, on samples that no correction saw, is the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.float_graph.activations import activations
from converters.improvement.bias_correction import correct_biases
from converters.improvement.equalization import equalize
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.schemes.tflite_int4_weights import quantize_to_int4_weights
from tests.converters.improvement.int8_file import run_int8
from tests.converters.skewed_nets import digits16, share_right, skewed


@pytest.fixture(scope="module")
def calibration(digits_split):
    return Calibration(digits16(digits_split[0]).images[::20] / np.float32(255))


@pytest.fixture(scope="module")
def held_out(digits_split):
    return digits16(digits_split[1]).images[::10] / np.float32(255)


def shifts(data, graph, reference, inputs):
    """Layer's output -> mean of file - float of each channel, in units of the layer's mean magnitude."""
    files = list(run_int8(data, graph, inputs))
    floats = list(activations(reference, inputs))
    found = {}
    for layer in graph.layers:
        file = np.concatenate([one[layer.output].values for one in files])
        want = np.concatenate([one[layer.output] for one in floats])
        error = (file - want).reshape(-1, want.shape[-1]).mean(axis=0)
        found[layer.name] = np.abs(error) / np.abs(want).mean()
    return found


@pytest.mark.parametrize(("bits", "quantize"), [(8, quantize_to_int8), (4, quantize_to_int4_weights)])
def test_the_mean_shift_of_each_layer_falls_on_samples_not_seen(depthwise_graph, calibration, held_out, bits, quantize):
    # A percentile cuts off values of the output, which is no error of the mean before it and stays.
    ranges = ranges_of(depthwise_graph, replace(calibration, method="min-max"))
    corrected = correct_biases(depthwise_graph, ranges, calibration.inputs, bits=bits)
    before = shifts(quantize(depthwise_graph, ranges), depthwise_graph, depthwise_graph, held_out)
    after = shifts(quantize(corrected, ranges), corrected, depthwise_graph, held_out)
    means = {name: (before[name].mean(), after[name].mean()) for name in before}
    total = np.mean(list(means.values()), axis=0)
    assert total[1] < 0.5 * total[0], means
    # The first layer has no mean to take back: its inputs are rounded evenly and it has few weights.
    assert sum(new < old for old, new in means.values()) >= len(means) - 1, means


def test_only_biases_change(depthwise_graph, calibration):
    corrected = correct_biases(depthwise_graph, ranges_of(depthwise_graph, calibration), calibration.inputs, bits=4)
    for old, new in zip(depthwise_graph.layers, corrected.layers, strict=True):
        np.testing.assert_array_equal(depthwise_graph.constant(old.weights), corrected.constant(new.weights))
        assert not np.array_equal(depthwise_graph.constant(old.bias), corrected.constant(new.bias))


def test_a_skewed_network_is_whole_after_both_and_better_after_this_alone(depthwise_graph, digits_split, calibration):
    test = digits16(digits_split[1])
    skew = skewed(depthwise_graph, 1, [0], 200.0)
    right = share_right(depthwise_graph.data, test.images, test.labels)

    def int8(graph):
        return share_right(quantize_to_int8(graph, ranges_of(graph, calibration)), test.images, test.labels)

    def corrected(graph):
        return correct_biases(graph, ranges_of(graph, calibration), calibration.inputs)

    assert int8(skew) <= right - 0.05
    assert int8(corrected(skew)) >= int8(skew) + 0.05
    assert int8(corrected(equalize(skew).graph)) >= right - 0.01


def test_large_activations_are_held_for_fewer_samples(depthwise_graph, calibration, monkeypatch):
    from converters.improvement import bias_correction

    ranges = ranges_of(depthwise_graph, calibration)
    few = correct_biases(depthwise_graph, ranges, calibration.inputs[:7])
    each = sum(int(np.prod(depthwise_graph.tensors[i].shape)) for i in depthwise_graph.activations)
    monkeypatch.setattr(bias_correction, "_MAX_VALUES", 7 * each + 1)
    limited = correct_biases(depthwise_graph, ranges, calibration.inputs)
    assert limited.data == few.data
