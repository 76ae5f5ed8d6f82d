"""Improvements as `export` makes them: bundles and their files are what is measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.export import ExportConfig, ExportData, export_bundle, step_count
from converters.improvement.improver import Improvement
from converters.improvement.quantization_aware_training import QatConfig, train_quantized
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.schemes.tflite_int4_weights import quantize_to_int4_weights
from converters.sources.load import load_source_model
from edge_cnn.cli.main import main
from edge_cnn.core.bundle import read_bundle
from edge_cnn.core.errors import InputError
from edge_cnn.core.preprocessing import input_range
from tests.converters.skewed_nets import digits16, share_right, skewed, source_of


@pytest.fixture(scope="module")
def data(digits_split):
    train, test = digits_split
    return ExportData(digits16(train), digits16(test), {"name": "small digits"})


@pytest.fixture(scope="module")
def skew(depthwise_graph):
    return skewed(depthwise_graph, 1, [0], 200.0)


def export(source, data, improvement, schemes=("int8",), on_progress=None):
    config = ExportConfig(
        ("rpi5", "rpi5-onnx"), schemes, calibration_samples=200, golden_samples=40, improvement=improvement
    )
    bundle = export_bundle(
        source, data, config, preprocessing=input_range(0.0, 1.0, (16, 16, 1)), on_progress=on_progress
    )
    return bundle, step_count(config)


@pytest.mark.slow
def test_a_skewed_network_loses_much_in_both_formats_and_little_once_improved(skew, data):
    plain, _ = export(source_of(skew, data.train.class_names), data, Improvement())
    improved, _ = export(source_of(skew, data.train.class_names), data, Improvement(equalize=True, correct_bias=True))
    for bundle in (plain, improved):
        assert {entry.format for entry in bundle.manifest.artifacts} == {"tflite", "onnx"}
    float_right = plain.manifest.host_accuracy
    assert improved.manifest.host_accuracy == float_right
    assert all(entry.host_accuracy <= float_right - 0.05 for entry in plain.manifest.artifacts)
    assert all(entry.host_accuracy >= float_right - 0.01 for entry in improved.manifest.artifacts)
    assert "improvement" not in plain.manifest.provenance
    told = improved.manifest.provenance["improvement"]
    assert len(told["equalized"]["pairs"]) == 11
    assert told["corrected_biases"] == ["8-bit weights"]


@pytest.mark.slow
def test_training_is_told_step_by_step_and_its_record_is_kept_and_float_files_stay(depthwise_graph, data):
    steps = []
    improvement = Improvement(equalize=True, correct_bias=True, qat=QatConfig(epochs=3))
    source = source_of(depthwise_graph, data.train.class_names)
    bundle, total = export(source, data, improvement, ("int8", "float32"), steps.append)
    assert [step.done for step in steps] == list(range(total + 1))
    assert [s.step for s in steps if "training" in s.step] == [
        f"training 8-bit weights, epoch {n} of 3" for n in (1, 2, 3)
    ]
    told = bundle.manifest.provenance["improvement"]["trained"]["8-bit weights"]
    assert told["learn_from"] == "float-model"
    assert told["held_out_loss"][1] <= told["held_out_loss"][0]
    float_file = next(
        bundle.artifact(e.name) for e in bundle.manifest.artifacts if (e.format, e.scheme) == ("tflite", "float32")
    )
    images, labels = data.test.images, data.test.labels
    assert share_right(float_file.data, images, labels) == bundle.manifest.host_accuracy
    for entry in bundle.manifest.artifacts:
        assert entry.host_accuracy >= bundle.manifest.host_accuracy - 0.01


@pytest.mark.slow
def test_four_bit_weights_after_training_cost_a_point_at_most_and_60_percent_of_the_bytes(
    resnet8_folder, coloured_split
):
    train, test = coloured_split
    graph = load_source_model(resnet8_folder / "model.keras").float_graph
    inputs = train.images / np.float32(255)
    ranges = ranges_of(graph, Calibration(inputs[::20]))
    result = train_quantized(graph, ranges, inputs, None, QatConfig(epochs=6, bits=4))
    trained = quantize_to_int4_weights(result.graph, result.ranges)
    right = share_right(graph.data, test.images, test.labels)
    assert result.history[result.best_epoch].held_out_loss < 0.5 * result.history[0].held_out_loss
    assert share_right(trained, test.images, test.labels) >= right - 0.01
    assert len(trained) <= 0.6 * len(quantize_to_int8(graph, ranges))


@pytest.mark.slow
def test_the_command_equalizes_and_tells_it_in_json(skew, tmp_path, capsys):
    model, out = tmp_path / "skewed.tflite", tmp_path / "model.edgecnn"
    model.write_bytes(skew.data)
    arguments = ["export", str(model), "--target", "rpi5", "--calibration", "digits", "--input-range", "0,1"]
    assert main([*arguments, "--out", str(out), "--equalize", "--correct-bias", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["artifacts"][0]["host_accuracy"] >= document["host_accuracy"] - 0.01
    assert len(document["improvement"]["equalized"]["pairs"]) == 11
    assert read_bundle(out).manifest.provenance["improvement"] == document["improvement"]


def test_what_no_file_would_take_is_refused_before_any_work(depthwise_graph, data):
    source = source_of(depthwise_graph, data.train.class_names)
    for improvement, said in (
        (Improvement(qat=QatConfig(1)), "got no such file"),
        (Improvement(equalize=True), "no quantized file"),
    ):
        with pytest.raises(InputError, match=said):
            export(source, data, improvement, ("float32",))
