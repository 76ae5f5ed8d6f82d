from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import artifact_making, export
from converters.calibration.audit import CalibrationAudit
from converters.export import (
    ExportConfig,
    ExportData,
    Progress,
    choose_preprocessing,
    export_bundle,
    step_count,
)
from converters.schemes import table
from converters.sources.keras_file import source_of_keras
from converters.sources.load import load_source_model
from converters.sources.source_model import SourceModel
from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import AccuracyDropError, ConstraintError, DataError, InputError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing, normalize
from edge_cnn.core.targets import TARGETS, Memory
from edge_cnn.core.tolerance import default_tolerances
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.runtimes.table import open_runtime

CONFIG = ExportConfig(("rpi5", "rpi4", "jetson-orin"), ("int8", "float32"), calibration_samples=60, golden_samples=24)
CLASSES = ("ant", "bee", "cat", "dog")


def tiny_data() -> ExportData:
    """Random blocks, grey in the training part, so that the parts can be told apart in what an export stores."""
    rng = np.random.default_rng(5)

    def part(count: int, darkest: int, brightest: int) -> LabelledImages:
        blocks = rng.integers(darkest, brightest + 1, (count, 4, 5, 3), dtype=np.uint8)
        return LabelledImages(blocks.repeat(3, axis=1).repeat(2, axis=2), rng.integers(0, 4, count), CLASSES)

    return ExportData(part(160, 100, 200), part(40, 0, 255), {"name": "noise"})


@pytest.fixture(scope="module")
def data() -> ExportData:
    return tiny_data()


@pytest.fixture(scope="module")
def source(tiny_folder: Path) -> SourceModel:
    return load_source_model(tiny_folder / "tiny.keras")


@pytest.fixture(scope="module")
def preprocessing(source: SourceModel) -> Preprocessing:
    return choose_preprocessing(source, None)[0]


@pytest.fixture(scope="module")
def exported_tiny(source: SourceModel, data: ExportData, preprocessing: Preprocessing) -> Bundle:
    return export_bundle(source, data, CONFIG, preprocessing=preprocessing)


def test_the_bundle_has_a_file_for_each_recipe_and_names_its_targets(exported_tiny: Bundle) -> None:
    entries = [(e.name, e.scheme, e.targets) for e in exported_tiny.manifest.artifacts]
    assert entries == [
        ("model.tflite", "int8", ("rpi5", "rpi4")),
        ("model-float32.tflite", "float32", ("rpi5", "rpi4")),
        ("model.onnx", "int8", ("jetson-orin",)),
        ("model-float32.onnx", "float32", ("jetson-orin",)),
    ]
    assert exported_tiny.manifest.labels == CLASSES


def test_what_is_written_reads_back(exported_tiny: Bundle, tmp_path: Path) -> None:
    exported_tiny.write(tmp_path / "m.edgecnn")
    assert read_bundle(tmp_path / "m.edgecnn").to_bytes() == exported_tiny.to_bytes()


def test_the_same_inputs_give_the_same_bytes(
    exported_tiny: Bundle, tiny_folder: Path, data: ExportData, preprocessing: Preprocessing
) -> None:
    again = export_bundle(load_source_model(tiny_folder / "tiny.keras"), data, CONFIG, preprocessing=preprocessing)
    assert again.to_bytes() == exported_tiny.to_bytes()


@pytest.mark.slow  # starts TensorFlow once more
def test_another_process_gives_the_same_bytes(exported_tiny: Bundle, tiny_folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[2])!r}]
from test_export import *
source = load_source_model(Path({str(tiny_folder / "tiny.keras")!r}))
bundle = export_bundle(source, tiny_data(), CONFIG, preprocessing=choose_preprocessing(source, None)[0])
bundle.write(Path({str(tmp_path / "m.edgecnn")!r}))
"""
    environment = os.environ | {"PYTHONHASHSEED": "123", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    there = hashlib.sha256((tmp_path / "m.edgecnn").read_bytes()).hexdigest()
    assert there == hashlib.sha256(exported_tiny.to_bytes()).hexdigest()


def test_another_seed_gives_another_calibration(
    exported_tiny: Bundle, source: SourceModel, data: ExportData, preprocessing: Preprocessing
) -> None:
    other = export_bundle(source, data, replace(CONFIG, targets=("rpi5",), seed=1), preprocessing=preprocessing)
    before, after = (b.manifest.provenance["calibration"]["fingerprint"] for b in (exported_tiny, other))
    assert before != after


def test_calibration_never_sees_the_test_part(exported_tiny: Bundle) -> None:
    import onnx

    # Training pixels are 100..200, test pixels 0..255: the range of the input tells which were used.
    lowest, highest = (100 - 127.5) / 127.5, (200 - 127.5) / 127.5
    quantization = exported_tiny.entry("model.tflite").input.quantization
    assert quantization is not None
    assert (127 - quantization.zero_point) * quantization.scale == pytest.approx(highest, abs=0.01)
    assert (-128 - quantization.zero_point) * quantization.scale == pytest.approx(lowest, abs=0.01)
    model = onnx.ModelProto.FromString(exported_tiny.artifact("model.onnx").data)
    (scale,) = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "input_scale"]
    assert float(scale) * 127 == pytest.approx(highest, rel=0.01)  # the largest magnitude


def test_golden_samples_come_from_the_test_part_with_every_class(exported_tiny: Bundle, data: ExportData) -> None:
    golden = exported_tiny.golden
    assert golden is not None
    known = {i.tobytes(): label for i, label in zip(data.test.images, data.test.labels, strict=True)}
    assert len(golden.labels) == 24
    assert all(known[i.tobytes()] == label for i, label in zip(golden.inputs, golden.labels, strict=True))
    expected = np.bincount(data.test.labels, minlength=4) * 24 / 40
    assert np.abs(np.bincount(golden.labels, minlength=4) - expected).max() <= 1


def test_golden_float_outputs_are_those_of_keras(
    exported_tiny: Bundle, tiny_keras: Any, preprocessing: Preprocessing
) -> None:
    golden = exported_tiny.golden
    assert golden is not None
    expected = tiny_keras.predict(normalize(golden.inputs, preprocessing), verbose=0)
    assert np.abs(golden.float_outputs - expected).max() < 1e-6


def test_golden_codes_are_those_of_the_reference_kernels(exported_tiny: Bundle, preprocessing: Preprocessing) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    golden = exported_tiny.golden
    assert golden is not None
    artifact = exported_tiny.artifact("model.tflite")
    interpreter = Interpreter(
        model_content=artifact.data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = entry["quantization"]
    for image, expected in zip(golden.inputs[:8], golden.outputs["model.tflite"], strict=False):
        codes = np.rint(normalize(image[None], preprocessing) / np.float32(scale)) + zero_point
        interpreter.set_tensor(entry["index"], np.clip(codes, -128, 127).astype(np.int8))
        interpreter.invoke()
        assert np.array_equal(interpreter.get_tensor(end["index"])[0], expected)


def test_every_file_with_a_head_has_logits_and_replay_embeddings(exported_tiny: Bundle, data: ExportData) -> None:
    golden, replay = exported_tiny.golden, exported_tiny.replay
    assert golden is not None
    assert replay is not None
    names = {a.name for a in exported_tiny.artifacts}
    assert set(golden.outputs) == set(golden.logits) == set(replay.embeddings) == names
    assert np.bincount(replay.labels).tolist() == [min(30, n) for n in np.bincount(data.train.labels)]


def test_logits_have_the_argmax_of_the_outputs_that_they_lead_to(exported_tiny: Bundle) -> None:
    golden = exported_tiny.golden
    assert golden is not None
    for name, logits in golden.logits.items():
        outputs = golden.outputs[name]
        rows = np.arange(len(logits))
        # Ties apart: the output at the best logit is as high as any.
        assert np.array_equal(outputs[rows, logits.argmax(axis=1)], outputs.max(axis=1))


def test_replay_embeddings_are_what_the_backbone_makes_of_training_images(
    exported_tiny: Bundle, data: ExportData, preprocessing: Preprocessing
) -> None:
    replay = exported_tiny.replay
    assert replay is not None
    for artifact in exported_tiny.artifacts:
        runtime = open_runtime(split_head(artifact).backbone)
        (codes,) = runtime.run([to_model_input(data.train.images, preprocessing, runtime.inputs[0])])
        known = {(row.tobytes(), int(label)) for row, label in zip(codes, data.train.labels, strict=True)}
        stored = replay.embeddings[artifact.name]
        if artifact.name == "model-float32.onnx":
            continue  # a float product may depend on the rows beside it in the batch
        assert {(row.tobytes(), int(label)) for row, label in zip(stored, replay.labels, strict=True)} <= known


def test_host_accuracies_are_those_that_a_classifier_reaches(
    exported_tiny: Bundle, data: ExportData, tmp_path: Path, tiny_keras: Any, preprocessing: Preprocessing
) -> None:
    exported_tiny.write(tmp_path / "m.edgecnn")
    expected = tiny_keras.predict(normalize(data.test.images, preprocessing), verbose=0).argmax(axis=1)
    assert exported_tiny.manifest.host_accuracy == pytest.approx(np.mean(expected == data.test.labels))
    for entry in exported_tiny.manifest.artifacts:
        classifier = open_classifier(tmp_path / "m.edgecnn", artifact=entry.name)
        share = np.mean(classifier.predict(data.test.images).indices == data.test.labels)
        assert entry.host_accuracy == pytest.approx(share)


def test_bare_files_carry_labels_and_preprocessing_along(exported_tiny: Bundle, tmp_path: Path) -> None:
    for artifact in exported_tiny.artifacts:
        (tmp_path / artifact.name).write_bytes(artifact.data)
        classifier = open_classifier(tmp_path / artifact.name)
        assert classifier.labels == CLASSES
        assert classifier.preprocessing == exported_tiny.manifest.preprocessing
        assert classifier.preprocessing_source == "the file's metadata"


def test_provenance_says_where_everything_comes_from(exported_tiny: Bundle, data: ExportData) -> None:
    provenance = json.loads(exported_tiny.manifest.to_bytes())["provenance"]
    assert provenance["seed"] == 0
    assert provenance["training"] == {"architecture": "tiny", "seed": 7}
    assert provenance["data"]["name"] == "noise"
    assert provenance["data"]["test_fingerprint"] == data.test.fingerprint()
    assert provenance["calibration"]["samples"] == 60
    assert provenance["golden"] == {"samples": 24, "part": "test"}
    wanted = {"edge_cnn", "tensorflow", "keras", "ai-edge-litert", "onnxruntime", "tf2onnx", "numpy"}
    assert all(provenance["versions"][name] for name in wanted)


def test_progress_counts_every_step(source: SourceModel, data: ExportData, preprocessing: Preprocessing) -> None:
    seen: list[Progress] = []
    config = replace(CONFIG, targets=("rpi5",), schemes=())
    export_bundle(source, data, config, preprocessing=preprocessing, on_progress=seen.append)
    assert [p.done for p in seen] == list(range(step_count(config) + 1))
    assert {p.total for p in seen} == {step_count(config)}
    assert seen[1].step == "converting model.tflite"


def test_nothing_is_printed(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing, capfd: pytest.CaptureFixture[str]
) -> None:
    export_bundle(source, data, replace(CONFIG, schemes=("int8",)), preprocessing=preprocessing)
    assert capfd.readouterr() == ("", "")


def test_a_model_without_a_fully_connected_head_gets_neither_logits_nor_replay(
    data: ExportData, preprocessing: Preprocessing
) -> None:
    import keras

    entry = keras.Input((12, 10, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(entry))
    source = source_of_keras(keras.Model(entry, keras.layers.Softmax()(pooled)), "convolutions", labels=CLASSES)
    bundle = export_bundle(source, data, replace(CONFIG, schemes=("float32",)), preprocessing=preprocessing)
    assert bundle.replay is None
    assert bundle.golden is not None
    assert bundle.golden.logits == {}
    assert len(bundle.golden.outputs) == 2


def test_a_larger_drop_than_allowed_is_an_error(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing
) -> None:
    config = replace(CONFIG, targets=("rpi5",), schemes=("int8",), max_drop=-1.0)
    with pytest.raises(AccuracyDropError, match=r"model.tflite \(int8\) gets .* allowed -100.00%; .*train longer"):
        export_bundle(source, data, config, preprocessing=preprocessing)


@pytest.mark.parametrize(("right", "passes"), [(980, True), (979, False)])
def test_a_drop_of_exactly_the_limit_is_allowed_and_one_sample_more_is_not(
    right: int,
    passes: bool,
    source: SourceModel,
    data: ExportData,
    preprocessing: Preprocessing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 985 / 1000 - 980 / 1000 > 0.005  # in floats
    shares = iter([985 / 1000])  # the float model's; then that of every file
    for module in (export, artifact_making):
        monkeypatch.setattr(module, "share_right", lambda *_: next(shares, right / 1000))
    config = replace(CONFIG, targets=("rpi5",), schemes=("int8",), max_drop=0.005)
    if passes:
        bundle = export_bundle(source, data, config, preprocessing=preprocessing)
        assert bundle.manifest.artifacts[0].host_accuracy == 0.98
    else:
        with pytest.raises(AccuracyDropError, match=r"a drop of 0\.60%, allowed 0\.50%"):
            export_bundle(source, data, config, preprocessing=preprocessing)


def test_tolerances_are_tightest_for_the_kernels_that_recorded(exported_tiny: Bundle) -> None:
    for entry in exported_tiny.manifest.artifacts:
        family = "ort-cpu" if entry.format == "onnx" else "litert-ref"
        expected = default_tolerances(entry.format, quantized=entry.scheme == "int8", recorded_by=family)
        assert entry.tolerances == expected


def test_float_files_are_not_held_to_the_drop(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing
) -> None:
    config = replace(CONFIG, targets=("rpi5",), schemes=("float32",), max_drop=-1.0)
    assert export_bundle(source, data, config, preprocessing=preprocessing).artifacts


def test_a_file_that_breaks_a_rule_of_its_target_is_not_exported(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_SYMMETRIC_AS_INT8", table.RECIPES["onnx", "int8"])
    config = replace(CONFIG, targets=("jetson-orin",), schemes=("int8",))
    with pytest.raises(
        ConstraintError, match=r"^jetson-orin: model\.onnx: Quantization is symmetric int8.* of type uint8"
    ):
        export_bundle(source, data, config, preprocessing=preprocessing)


def test_each_line_names_the_targets_that_it_is_for(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rpi4", "rpi5"):
        target = replace(TARGETS[name], rules=("memory",), memory=Memory(flash=10, ram=2**30))
        monkeypatch.setitem(TARGETS, name, target)
    config = replace(CONFIG, targets=("rpi3", "rpi4", "rpi5"), schemes=("int8",))
    with pytest.raises(ConstraintError) as caught:
        export_bundle(source, data, config, preprocessing=preprocessing)
    told = (
        r"rpi4, rpi5: model\.tflite: The file fits the flash memory; got [\d,]+ bytes for 10; choose another target .*"
    )
    assert re.fullmatch(told, str(caught.value))


def test_data_that_does_not_fit_is_refused(source: SourceModel, data: ExportData, preprocessing: Preprocessing) -> None:
    def run(train: LabelledImages, test: LabelledImages) -> None:
        export_bundle(source, ExportData(train, test), CONFIG, preprocessing=preprocessing)

    two = LabelledImages(data.train.images, data.train.labels % 2, ("ant", "bee"))
    square = LabelledImages(np.zeros((40, 9, 9, 3), np.uint8), np.zeros(40, np.int64), CLASSES)
    with pytest.raises(DataError, match=r"2 classes .* the model has 4"):
        run(two, two)
    with pytest.raises(DataError, match=r"shape \(9, 9, 3\), the model takes \(12, 10, 3\)"):
        run(square, data.test)
    with pytest.raises(DataError, match=r"shape \(9, 9, 3\), the model takes \(12, 10, 3\)"):
        run(data.train, square)
    with pytest.raises(DataError, match="no test samples"):
        run(data.train, data.test.select(np.arange(0)))


def test_the_audit_of_the_calibration_data_is_told_and_recorded(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing
) -> None:
    told: list[CalibrationAudit] = []
    shared = ExportData(data.train, LabelledImages(data.train.images[:50], data.train.labels[:50], CLASSES))
    config = replace(CONFIG, targets=("rpi5",), schemes=("int8",), golden_samples=50, calibration_method="entropy")
    bundle = export_bundle(source, shared, config, preprocessing=preprocessing, on_audit=told.append)
    recorded = json.loads(bundle.manifest.to_bytes())["provenance"]["calibration"]
    assert recorded["method"] == "entropy"
    assert recorded["audit"]["remarks"] == list(told[0].remarks)
    assert sum(recorded["audit"]["class_counts"].values()) == 60
    # All test samples are training samples, and all of them are golden; 60 of 160 were drawn to calibrate.
    assert 5 < recorded["audit"]["test_overlap"] == recorded["audit"]["golden_overlap"] < 40
    assert any("are test samples too" in remark for remark in told[0].remarks)


def test_another_method_gives_other_ranges(
    exported_tiny: Bundle, source: SourceModel, data: ExportData, preprocessing: Preprocessing
) -> None:
    config = replace(CONFIG, targets=("rpi5",), schemes=("int8",), calibration_method="min-max")
    other = export_bundle(source, data, config, preprocessing=preprocessing)
    assert other.artifact("model.tflite").data != exported_tiny.artifact("model.tflite").data


def test_noise_calibrates_nothing_but_is_no_matter_to_float_files(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 12, 10, 3), dtype=np.uint8)
    spoiled = ExportData(LabelledImages(noise, data.train.labels, CLASSES), data.test)
    config = replace(CONFIG, targets=("rpi5",))
    with pytest.raises(DataError, match="the calibration images look random"):
        export_bundle(source, spoiled, replace(config, schemes=("int8",)), preprocessing=preprocessing)
    bundle = export_bundle(source, spoiled, replace(config, schemes=("float32",)), preprocessing=preprocessing)
    assert "audit" not in bundle.manifest.provenance["calibration"]


def test_unknown_targets_fail_before_any_work(
    source: SourceModel, data: ExportData, preprocessing: Preprocessing
) -> None:
    with pytest.raises(InputError, match="unknown target 'rpi6'"):
        export_bundle(
            source, data, replace(CONFIG, targets=("rpi6",)), preprocessing=preprocessing, on_progress=lambda _: 1 / 0
        )


def test_preprocessing_is_the_given_range_else_the_training_s_else_0_to_255(source: SourceModel) -> None:
    bare = replace(source, preprocessing=None)
    assert choose_preprocessing(source, (0, 1)) == (
        Preprocessing(12, 10, 3, (0.0,), (255.0,)),
        "the given input range",
    )
    assert choose_preprocessing(source, None) == (source.preprocessing, "training.json")
    chosen, origin = choose_preprocessing(bare, None)
    assert chosen == Preprocessing(12, 10, 3, (0.0,), (1.0,))
    assert "--input-range" in origin
