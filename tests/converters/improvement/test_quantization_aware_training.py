"""Training with rounding: the files that the quantizers make of the result are the judges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.float_graph.tensorflow_graph import forward
from converters.improvement.quantization_aware_training import LABELS, QatConfig, train_quantized
from converters.improvement.rounded_graph import rounding_hooks
from converters.improvement.shared_scales import shared_ranges
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.schemes.tflite_int4_weights import quantize_to_int4_weights
from converters.schemes.weight_quantizer import quantize_weights, scale_axis
from edge_cnn.core.errors import DataError, InputError
from edge_cnn.device.tflite.int4_codes import pack_int4
from tests.converters.improvement.int8_file import run_int8
from tests.converters.skewed_nets import digits16, share_right


@pytest.fixture(scope="module")
def digits(digits_split):
    train, test = (digits16(part) for part in digits_split)
    return train.images / np.float32(255), train.labels, test


@pytest.fixture(scope="module")
def ranges(depthwise_graph, digits):
    return ranges_of(depthwise_graph, Calibration(digits[0][::20]))


@pytest.fixture(scope="module")
def trained(depthwise_graph, ranges, digits):
    """Int8 and int4 results of two epochs on a part of the digits, by bits."""
    return {
        bits: train_quantized(depthwise_graph, ranges, digits[0][:1500], None, QatConfig(2, bits)) for bits in (8, 4)
    }


def local_and_total_differences(result, inputs):
    """In codes: the largest difference of each activation given the file's own inputs; that of the logits, n x classes,
    given ours."""
    graph, bits = result.graph, result.config.bits
    data = (quantize_to_int8 if bits == 8 else quantize_to_int4_weights)(graph, result.ranges)
    shared = shared_ranges(graph, result.ranges)
    on_constant, rounding = rounding_hooks(graph, lambda index: shared[index], bits)
    logits = graph.operators[-1].inputs[0]
    local: dict[str, int] = {}
    total: list[np.ndarray] = []
    for sample, file in zip(inputs, run_int8(data, graph, inputs), strict=True):
        own: dict[int, np.ndarray] = {}

        def compare(index, value, file=file):
            mine = np.rint(np.asarray(rounding(index, value)) / file[index].scale) + file[index].zero_point
            name = graph.tensors[index].name
            local[name] = max(local.get(name, 0), int(np.abs(mine - file[index].codes).max()))
            return file[index].values

        def keep(index, value, own=own):
            own[index] = np.asarray(rounding(index, value))
            return own[index]

        for hook in (compare, keep):
            forward(graph, on_constant=on_constant, on_activation=hook)(sample[None])
        mine = np.rint(own[logits] / file[logits].scale) + file[logits].zero_point
        total.append(np.abs(mine - file[logits].codes))
    return local, np.concatenate(total)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
def test_the_file_computes_what_the_training_computed(trained, digits, bits):
    local, total = local_and_total_differences(trained[bits], digits[2].images[:60] / np.float32(255))
    assert max(local.values()) <= 1, local
    # Differences of one code in each of thirteen layers add up here and there, and more so with coarse weights.
    assert total.mean() < 1
    assert total.max() <= (3 if bits == 8 else 7)


def weight_bytes(data, layer):
    """The bytes of a layer's weights in a file, by the name of the layer's output."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    tensors = model.subgraphs[0].tensors
    operator = next(o for o in model.subgraphs[0].operators if tensors[o.outputs[0]].name == layer.encode())
    return model.buffers[tensors[operator.inputs[1]].buffer].data


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
def test_the_codes_of_the_file_are_those_of_the_training(trained, bits):
    graph = trained[bits].graph
    data = (quantize_to_int8 if bits == 8 else quantize_to_int4_weights)(graph, trained[bits].ranges)
    assert {layer.operator.op for layer in graph.layers} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    for layer in graph.layers:
        # Depthwise layers stay int8 in a file of int4 weights.
        width = 8 if layer.operator.op == "DEPTHWISE_CONV_2D" else bits
        weights = graph.constant(layer.weights)
        codes = quantize_weights(weights, scale_axis(layer, dense_per_channel=width == 8), 2 ** (width - 1) - 1)
        # On the grid: what the training saw is what the codes stand for, to the last bits of a float.
        np.testing.assert_allclose(codes.floats(), weights, rtol=3e-6, atol=0)
        stored = codes.codes.reshape(-1).view(np.uint8) if width == 8 else pack_int4(codes.codes)
        np.testing.assert_array_equal(weight_bytes(data, layer.name), stored)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(depthwise_graph, ranges, digits, trained):
    def train(seed):
        config = replace(trained[4].config, seed=seed)
        return train_quantized(depthwise_graph, ranges, digits[0][:1500], None, config)

    again = train(0)
    assert again.graph.data == trained[4].graph.data
    assert again.ranges == trained[4].ranges
    assert again.history[1:] == trained[4].history[1:]
    assert train(1).graph.data != trained[4].graph.data


@pytest.mark.slow
def test_four_bits_come_nearer_to_the_float_model_by_training(depthwise_graph, ranges, digits):
    test = digits[2]
    float_right = share_right(depthwise_graph.data, test.images, test.labels)
    result = train_quantized(depthwise_graph, ranges, digits[0], None, QatConfig(10, 4))
    after = share_right(quantize_to_int4_weights(result.graph, result.ranges), test.images, test.labels)
    assert after >= float_right - 0.015
    assert result.history[result.best_epoch].held_out_loss == min(r.held_out_loss for r in result.history)
    assert result.history[result.best_epoch].held_out_loss < 0.5 * result.history[0].held_out_loss


@pytest.mark.slow
def test_labels_can_be_learned_from_instead(depthwise_graph, ranges, digits):
    config = QatConfig(2, 4, learn_from=LABELS)
    result = train_quantized(depthwise_graph, ranges, digits[0], digits[1], config)
    assert result.best_epoch > 0
    assert result.history[result.best_epoch].agreement > result.history[0].agreement


@pytest.mark.slow
def test_ranges_follow_the_batches_first_and_are_then_frozen(depthwise_graph, ranges, digits):
    states = []
    config = QatConfig(2, 8, observed_share=0.5)
    wide = {index: (low * 4, high * 4) for index, (low, high) in ranges.items()}

    from converters.improvement import quantization_aware_training as module

    class Spy(module.RoundedTraining):
        def state(self):
            states.append(super().state())
            return states[-1]

    class Always(Spy):
        def evaluate(self, *_):
            # Each epoch better than the last, so that each one's state is asked for.
            return -float(len(states)), 1.0

    original, module.RoundedTraining = module.RoundedTraining, Always
    try:
        train_quantized(depthwise_graph, wide, digits[0], None, config)
    finally:
        module.RoundedTraining = original
    start, first, second = (ranges_now for _, ranges_now in states)
    layer = depthwise_graph.layers[3].output
    assert first[layer][1] < 0.8 * start[layer][1]
    assert first == second


@pytest.mark.slow
def test_it_stops_when_no_epoch_does_better(depthwise_graph, ranges, digits):
    seen = []
    config = QatConfig(9, 8, learning_rate=0.3, patience=2)
    result = train_quantized(depthwise_graph, ranges, digits[0][:600], None, config, on_epoch=seen.append)
    assert result.best_epoch == 0
    assert [record.epoch for record in seen] == [0, 1, 2]
    # A training that ruins the network gives back what it was given, on the grid.
    for old, new in zip(depthwise_graph.layers, result.graph.layers, strict=True):
        weights = depthwise_graph.constant(old.weights)
        step = np.abs(weights).max() / 127
        assert np.abs(result.graph.constant(new.weights) - weights).max() <= step * 0.51


@pytest.mark.parametrize(
    ("change", "said"), [({"bits": 3}, "3 bits"), ({"epochs": 0}, "epochs 0"), ({"learn_from": "luck"}, "'luck'")]
)
def test_a_training_that_cannot_be_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        QatConfig(**change)


def test_too_few_samples_and_missing_labels_are_said(depthwise_graph, ranges, digits):
    with pytest.raises(DataError, match="19 training samples"):
        train_quantized(depthwise_graph, ranges, digits[0][:19])
    with pytest.raises(DataError, match="no labels"):
        train_quantized(depthwise_graph, ranges, digits[0], None, QatConfig(learn_from=LABELS))
