from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from converters.calibration.audit import CalibrationAudit, audit_calibration
from converters.calibration.samples import Calibration, choose_calibration
from converters.float_graph.float_graph import FloatGraph
from converters.sources.keras_file import source_of_keras
from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing, input_range, normalize
from tests.converters.calibration.real_images import blots, cifar, data_folder, shuffled

UNIT = input_range(0, 1, (16, 16, 3))
CLASSES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def graph() -> FloatGraph:
    import keras

    keras.utils.set_random_seed(0)
    entry = keras.Input((16, 16, 3))
    hidden = keras.layers.Conv2D(6, 3, strides=2, activation="relu")(entry)
    scores = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(hidden))
    return source_of_keras(keras.Model(entry, scores), "small").float_graph


def samples(count: int = 150, seed: int = 0) -> Calibration:
    return Calibration(normalize(blots(count, seed=seed), UNIT), labels=np.arange(count) % 3)


def audit(calibration: Calibration, preprocessing: Preprocessing = UNIT, **options: Any) -> CalibrationAudit:
    return audit_calibration(calibration, preprocessing, class_names=CLASSES, **options)


def changed(change: Any, count: int = 150) -> Calibration:
    calibration = samples(count)
    inputs = calibration.inputs.copy()
    return replace(calibration, inputs=change(inputs))


def with_value(inputs: np.ndarray, where: Any, value: Any) -> np.ndarray:
    inputs[where] = value
    return inputs


def test_good_data_has_no_remark(graph: FloatGraph) -> None:
    found = audit(replace(samples(), held_out=samples(60, seed=1).inputs), graph=lambda: graph)
    assert found.remarks == ()
    assert found.lines()[0].startswith("150 calibration samples, inputs 0..")
    assert found.samples.class_counts == {"red": 50, "green": 50, "blue": 50}


PEAK = float(samples().inputs.max())
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:19], "19 calibration samples are too few, at least 20 are needed; give more"),
        (lambda x: x[:, :15], r"shape \(15, 16, 3\), the model takes \(16, 16, 3\); resize"),
        (lambda x: with_value(x, (7, 3, 3, 0), np.nan), "1 calibration samples hold NaN or infinity, .* number 7"),
        (lambda x: with_value(x, (slice(4, 6), 0, 0), np.inf), "2 calibration samples hold NaN or .* number 4"),
        (lambda x: x[:1].repeat(30, axis=0), "all the same.*; give real data"),
        (lambda x: np.broadcast_to(RNG.random((150, 1, 1, 3), np.float32), x.shape), "is of one colour.*; give real"),
        (
            lambda x: RNG.random(x.shape, np.float32),
            "look random: neighbouring pixels correlate by 0.0.*give real data",
        ),
        (lambda x: RNG.normal(0.5, 0.2, x.shape).astype(np.float32), "look random"),
        (shuffled, "look random"),
    ],
)
def test_what_cannot_calibrate_is_refused_in_one_line_before_anything_is_converted(change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        audit(changed(change), graph=lambda: 1 / 0)
    assert "\n" not in str(caught.value)


def test_missing_classes_are_named() -> None:
    found = audit(replace(samples(), labels=np.zeros(150, np.int64)))
    assert found.samples.missing_classes == ("green", "blue")
    assert found.remarks[0].startswith("no calibration sample of green, blue: ")


def test_copies_overlap_constant_images_and_channels_are_counted() -> None:
    calibration = changed(lambda x: with_value(with_value(x, slice(10, 20), x[:10]), slice(140, 150), 0.5))
    test = np.concatenate([samples(30, seed=9).inputs, calibration.inputs[30:34]])
    found = audit(calibration, test_inputs=test)
    counts = found.samples
    assert (counts.duplicates, counts.test_overlap, counts.constant_images) == (10 + 9, 4, 10)
    assert found.with_golden(calibration, test[-3:]).samples.golden_overlap == 3
    text = "\n".join(found.remarks)
    assert "19 of 150 calibration samples are copies" in text
    assert "4 of 150 calibration samples are test samples too" in text
    assert "10 of 150 calibration images are of one colour" in text
    dead = audit(changed(lambda x: with_value(x, (..., 1), 0.25)))
    assert dead.samples.constant_channels == (1,)
    assert any(remark.startswith("channel 1 has one value") for remark in dead.remarks)


def test_noise_among_real_images_is_a_remark() -> None:
    calibration = changed(lambda x: with_value(x, slice(0, 15), RNG.random((15, 16, 16, 3))))
    assert audit(calibration).remarks == ("15 of 150 calibration images look like noise",)


@pytest.mark.parametrize(("count", "said"), [(99, True), (100, False)])
def test_few_samples_are_a_remark_with_the_growth_measured(graph: FloatGraph, count: int, said: bool) -> None:
    found = audit(changed(lambda x: x[np.r_[: count // 2, : count - count // 2]], count), graph=lambda: graph)
    growth = [remark for remark in found.remarks if "their second half moved" in remark]
    assert bool(growth) == said
    assert found.ranges is not None
    # The second half repeats the first, so nothing grew.
    assert found.ranges.worst_growth[1] <= (0.0 if count % 2 == 0 else 0.2)


def test_growth_is_the_share_of_the_range_that_the_first_half_did_not_reach(graph: FloatGraph) -> None:
    found = audit(changed(lambda x: with_value(x, slice(75, 150), 2 * x[75:])), graph=lambda: graph)
    assert found.ranges is not None
    name = graph.tensors[graph.inputs[0]].name
    inputs = samples().inputs
    assert found.ranges.growth[name] == pytest.approx(1 - inputs[:75].max() / (2 * inputs[75:].max()))
    worst, share = found.ranges.worst_growth
    assert share == max(found.ranges.growth.values()) > 0.3
    assert any(worst in remark and f"{share:.1%}" in remark for remark in found.remarks)


def test_saturation_is_the_share_of_held_out_activations_beyond_the_range(graph: FloatGraph) -> None:
    calibration = replace(samples(), held_out=1.5 * samples(40, seed=3).inputs)
    found = audit(calibration, graph=lambda: graph)
    assert found.ranges is not None
    assert calibration.held_out is not None
    name = graph.tensors[graph.inputs[0]].name
    expected = np.mean(calibration.held_out > calibration.inputs.max())
    assert expected > 0
    assert found.ranges.saturation[name] == pytest.approx(expected)
    assert found.ranges.worst_saturation is not None
    assert any("lies outside its range" in remark and "on 40 other" in remark for remark in found.remarks)


def test_percentiles_saturate_about_what_they_cut_off(graph: FloatGraph) -> None:
    calibration = replace(samples(400), method="percentile", held_out=samples(200, seed=4).inputs)
    found = audit(calibration, graph=lambda: graph).ranges
    assert found is not None
    clipped = [share for share in found.saturation.values() if share]
    assert 1e-5 < np.median(clipped) < 1e-3


@pytest.mark.parametrize(
    ("inputs", "preprocessing", "ratio", "words"),
    [
        (255 * samples().inputs, UNIT, 255, "times as wide; check how the data was made, or --input-range"),
        (samples().inputs, input_range(0, 255, (16, 16, 3)), 1 / 255, "0.00392 times as wide"),
        ((samples().inputs / PEAK - 0.449) / 0.226, UNIT, 1 / PEAK / 0.226, "like ImageNet normalization"),
        (samples().inputs, UNIT, 1, None),
        (samples().inputs * 0.5, UNIT, 0.5, None),
    ],
)
def test_inputs_on_another_scale_are_a_remark_with_the_ratio(
    inputs: np.ndarray, preprocessing: Preprocessing, ratio: float, words: str | None
) -> None:
    found = audit(replace(samples(), inputs=np.asarray(inputs, np.float32)), preprocessing)
    assert found.preprocessing.ratio == pytest.approx(ratio * np.ptp(samples().inputs), rel=1e-4)
    assert len(found.remarks) == (words is not None)
    if words is not None:
        assert words in found.remarks[0]


def brightest_channel(scale: float) -> Any:
    """A model that tells the colours of pixels 0..`scale`, and says "red" to whatever else."""

    def predict(inputs: np.ndarray) -> np.ndarray:
        is_right = 0.5 * scale < inputs.max() <= scale and inputs.min() >= 0
        return inputs.mean(axis=(1, 2)) if is_right else np.eye(3)[np.zeros(len(inputs), int)]

    return predict


@pytest.mark.parametrize(("trained_on", "scaling", "advice"), [(1.0, "0..1", "0,1"), (255.0, "0..255", "0,255")])
def test_a_scaling_that_the_model_answers_far_better_to_is_told(trained_on: float, scaling: str, advice: str) -> None:
    predict = brightest_channel(trained_on)
    wrong = input_range(0, 255 if trained_on == 1 else 1, (16, 16, 3))
    images = blots(150)
    labels = images.mean(axis=(1, 2)).argmax(axis=1)
    found = audit(Calibration(normalize(images, wrong), labels=labels), wrong, predict=predict)
    assert found.preprocessing.better is not None
    assert (found.preprocessing.better.way.name, found.preprocessing.better.share) == (scaling, 1.0)
    assert f"the preprocessing looks wrong; try --input-range {advice}" in found.remarks[0]
    right = input_range(0, trained_on, (16, 16, 3))
    assert audit(Calibration(normalize(images, right), labels=labels), right, predict=predict).remarks == ()


def right_at(right: dict[float, int], labels: np.ndarray) -> Any:
    """A model that gets the first n samples right by the largest value of its inputs; 0 of other scales."""

    def predict(inputs: np.ndarray) -> np.ndarray:
        count = next((n for high, n in right.items() if 0.5 * high < inputs.max() <= high and inputs.min() >= 0), 0)
        answers = np.where(np.arange(len(inputs)) < count, labels[: len(inputs)], (labels[: len(inputs)] + 1) % 3)
        return np.eye(3)[answers]

    return predict


@pytest.mark.parametrize(("gain", "told"), [(15, True), (14, False)])
def test_a_usual_scaling_is_told_from_a_gain_of_a_tenth_on(gain: int, told: bool) -> None:
    labels = np.arange(150) % 3
    predict = right_at({255.0: 120, 1.0: 120 + gain}, labels)
    at_hand = input_range(0, 255, (16, 16, 3))
    found = audit(Calibration(normalize(blots(150), at_hand), labels=labels), at_hand, predict=predict)
    assert any("float model gets 90%" in r and "try --input-range 0,1" in r for r in found.remarks) == told


def test_a_gain_that_chance_explains_is_not_told() -> None:
    labels = np.arange(20) % 3
    at_hand = input_range(0, 255, (16, 16, 3))
    calibration = Calibration(normalize(blots(20), at_hand), labels=labels)
    # Three samples won and none lost: p = 0.25 by McNemar's test.
    assert audit(calibration, at_hand, predict=right_at({255.0: 14, 1.0: 17}, labels)).preprocessing.better is None
    assert audit(calibration, at_hand, predict=right_at({255.0: 11, 1.0: 17}, labels)).preprocessing.better is not None


def test_json_is_plain_and_the_same_each_time(graph: FloatGraph) -> None:
    calibration = replace(samples(60), held_out=samples(60, seed=1).inputs)
    one, other = (audit(calibration, graph=lambda: graph).to_json() for _ in range(2))
    assert json.dumps(one, allow_nan=False) == json.dumps(other)
    assert one["class_counts"] == {"red": 20, "green": 20, "blue": 20}
    assert one["ranges"]["held_out_samples"] == 60
    assert one["ranges"]["growth"]["tensor"] in {tensor.name for tensor in graph.tensors}
    assert len(one["remarks"]) == 1


def test_the_published_resnet8_is_audited_and_its_wrong_scaling_noticed() -> None:
    graph = FloatGraph((data_folder() / "mlperf_tiny" / "models" / "pretrainedResnet.tflite").read_bytes())
    images, labels = cifar()
    train = LabelledImages(images, labels, tuple(map(str, range(10))))

    def predict(inputs: np.ndarray) -> np.ndarray:
        from converters.float_graph.activations import activations

        return np.concatenate([values[graph.outputs[0]] for values in activations(graph, inputs, graph.outputs)])

    def found(high: float) -> CalibrationAudit:
        preprocessing = input_range(0, high, (32, 32, 3))
        calibration = choose_calibration(train, preprocessing, 300, np.random.default_rng(0))
        return audit_calibration(
            calibration, preprocessing, class_names=train.class_names, predict=predict, graph=lambda: graph
        )

    right = found(255)
    assert right.remarks == ()
    assert right.preprocessing.accuracy is not None
    assert right.preprocessing.accuracy > 0.85
    assert right.ranges is not None
    assert right.ranges.worst_growth[1] < 0.3
    (remark,) = found(1).remarks
    assert "try --input-range 0,255" in remark


def test_held_out_samples_are_other_training_samples() -> None:
    images = blots(200)
    train = LabelledImages(images, np.arange(200) % 3, CLASSES)
    chosen = choose_calibration(train, UNIT, 120, np.random.default_rng(0))
    assert chosen.held_out is not None
    assert (len(chosen), len(chosen.held_out)) == (120, 80)
    assert not {x.tobytes() for x in chosen.inputs} & {x.tobytes() for x in chosen.held_out}
    assert chosen.labels is not None
    known = {normalize(i[None], UNIT).tobytes(): int(label) for i, label in zip(images, train.labels, strict=True)}
    assert [known[x[None].tobytes()] for x in chosen.inputs] == chosen.labels.tolist()
    assert choose_calibration(train, UNIT, 500, np.random.default_rng(0)).held_out is None
