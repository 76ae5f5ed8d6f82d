"""Faults that were injected, and whether they are named by cause and by layer."""

from __future__ import annotations

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.explanation.cause import NOISE_FLOOR
from converters.explanation.causes import CAUSES
from converters.explanation.fix import WORDS
from converters.explanation.layer_facts import INPUT_OP
from converters.explanation.mix import Mix, MixMaker
from converters.float_graph.float_graph import FloatGraph
from converters.sources.load import load_source_model
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import input_range
from tests.converters.calibration.real_images import cifar, data_folder
from tests.converters.explanation.explaining import UNIT, Digits, explained
from tests.converters.explanation.injected_faults import FAULTS, edited, int8
from tests.converters.skewed_nets import share_right, skewed

pytestmark = pytest.mark.slow  # a network is trained once, each file is run on hundreds of samples


@pytest.mark.parametrize("name", FAULTS)
def test_an_injected_fault_is_named_with_its_layer(name, depthwise_graph, digits):
    fault = FAULTS[name]
    graph, data = fault.make(depthwise_graph, digits.calibration)
    found = explained(graph, data, digits)
    worst = found.layers[0]
    assert worst.cause == fault.cause
    if fault.layer == -1:
        assert worst.facts.op == INPUT_OP
    elif fault.layer is not None:
        assert worst.facts.name == graph.layers[fault.layer].name


@pytest.mark.parametrize(
    "mix", [Mix(), Mix(method="mse"), Mix(method="min-max"), Mix(equalized=True), Mix(bias_corrected=True)], ids=str
)
def test_a_healthy_file_gets_no_cause_however_it_was_made(mix, depthwise_graph, digits):
    data = MixMaker(depthwise_graph, Calibration(digits.calibration)).make(mix)
    found = explained(depthwise_graph, data, digits, fix=True)
    assert [layer.cause for layer in found.layers] == [NOISE_FLOOR] * len(found.layers)
    assert found.equalized == mix.equalized
    assert found.fix is not None
    assert found.fix.exclude == ()
    assert found.fix.drop_after == found.fix.drop_before
    assert found.quantized_accuracy > 0.93


def test_the_fix_gives_a_skewed_net_its_accuracy_back(depthwise_graph, digits):
    graph = skewed(depthwise_graph, 1, [0], 200)
    data = int8(graph, digits.calibration)
    found = explained(graph, data, digits, fix=True)
    assert found.layers[0].facts.name == graph.layers[1].name
    fix = found.fix
    assert fix is not None
    images, labels = digits.test.images[:1000], digits.test.labels[:1000]
    # What the runtime itself says of both files, apart from the code under test.
    lost = share_right(graph.data, images, labels) - share_right(data, images, labels)
    assert lost > 0.05
    assert fix.drop_before == pytest.approx(lost, abs=0.08)
    assert graph.layers[1].name in fix.exclude
    assert fix.drop_after <= 0.01
    mended = MixMaker(graph, Calibration(digits.calibration)).make(Mix(exclude=fix.exclude))
    assert share_right(graph.data, images, labels) - share_right(mended, images, labels) <= 0.01
    assert fix.free is not None
    assert fix.free[0].mix.equalized
    assert fix.chosen == fix.free[0]  # It goes before layers in float.
    assert fix.free[1] <= 0.01


def test_a_file_that_was_calibrated_wrongly_needs_no_float_layer(depthwise_graph, digits):
    graph, data = FAULTS["calibrated on dark images"].make(depthwise_graph, digits.calibration)
    fix = explained(graph, data, digits, fix=True).fix
    assert fix is not None
    assert fix.drop_before > 0.3
    assert fix.exclude == ()
    assert fix.drop_after <= 0.01


def test_preprocessing_that_the_file_states_otherwise_is_named_and_measured(depthwise_graph, digits):
    data = int8(depthwise_graph, digits.calibration)
    wrong = input_range(-1.0, 1.0, (16, 16, 1))
    found = explained(depthwise_graph, data, digits, stated=wrong)
    assert (found.layers[0].facts.op, found.layers[0].cause) == (INPUT_OP, "wrong preprocessing")
    assert "-> -1..1" in found.layers[0].findings[0].evidence
    assert found.quantized_accuracy < found.float_accuracy - 0.02
    assert explained(depthwise_graph, data, digits, stated=UNIT).layers[0].cause == NOISE_FLOOR


def test_labels_in_another_order_are_named(depthwise_graph, digits):
    data = int8(depthwise_graph, digits.calibration)
    names = digits.test.class_names
    found = explained(depthwise_graph, data, digits, labels=(names[1], names[0], *names[2:]))
    assert (found.layers[0].cause, found.layers[0].facts.op) == ("class order", "FULLY_CONNECTED")


def test_reversed_colours_are_named(resnet8_folder, coloured_split):
    source = load_source_model(resnet8_folder / "model.keras")
    graph = source.float_graph
    train, test = coloured_split
    digits = Digits(train, test.select(np.arange(300)))
    plain = int8(graph, digits.calibration)
    preprocessing = input_range(0.0, 1.0, (32, 32, 3))
    found = explained(
        graph, edited(plain, 0, weights=lambda codes: codes[..., ::-1]), digits, preprocessing=preprocessing
    )
    assert found.layers[0].cause == "channel order (BGR for RGB)"
    assert found.layers[0].facts.name == graph.layers[0].name
    healthy = explained(graph, plain, digits, preprocessing=preprocessing)
    assert healthy.faulty == ()


def test_the_published_pair_of_resnets_gets_no_false_alarm():
    images, labels = cifar("test")
    models = data_folder() / "mlperf_tiny" / "models"
    samples = LabelledImages(images[:500], labels[:500], tuple(str(i) for i in range(10)))
    graph = FloatGraph((models / "pretrainedResnet.tflite").read_bytes())
    data = (models / "pretrainedResnet_quant.tflite").read_bytes()
    preprocessing = input_range(0.0, 255.0, (32, 32, 3))
    found = explained(graph, data, Digits(samples, samples), preprocessing=preprocessing)
    assert found.by_name
    assert [layer.cause for layer in found.layers] == [NOISE_FLOOR] * len(found.layers)


def test_every_cause_has_a_sentence_and_a_remedy():
    assert {cause.name for cause in CAUSES} == set(WORDS)
    assert all(cause.sentence and "\n" not in cause.sentence for cause in CAUSES)
